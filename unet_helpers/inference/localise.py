"""Small structures in a whole head: where a card's boxes lie, by affine registration of a template to the image.

Mattes mutual information (Mattes et al. 2003, IEEE TMI 22(1):120) inside the template's brain, with SimpleITK: first
at 8 mm from the best of some hundred places, then at 4 mm. Positions are (x, y, z) in mm from the stack's first voxel,
to the patient's left, back and head.
"""

from functools import cache, partial
from itertools import permutations, product
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_dilation, binary_propagation, label, map_coordinates

from ..errors import ModelError
from ..images.image import MedicalImage
from ..images.orientation import to_stack
from ..images.read import read_image
from ..networks.card import Localise, ModelCard
from ..preprocessing.out_of_distribution import ood_warning
from ..preprocessing.resample import Grid
from ..preprocessing.resize import resize_volume
from ..results.segmentation import foreground_of

TEMPLATES = Path(__file__).parent.parent / "templates"
COARSE, FINE = 8.0, 4.0  # mm per voxel at which images are registered
BINS, MARGIN = 16, 5.0  # of the histogram; mm around the brain that count
ROUGH_LOOKS = 2  # along one axis alone, each time with the box centred anew
# mutual information: heads that lie as their header says had 0.22 to 1.4, heads that do not up to 0.26
ALIKE, CLEARLY_ALIKE = 0.2, 0.35


def see_boxes(stack: MedicalImage, card: ModelCard, look) -> tuple:
    """((K, Z, Y, X) answer for a stack, zoom, warnings, places): the network sees a box around each structure.

    ``look`` gives the network's answer (K, z, y, x) for a box (z, y, x), along all or some ``axes``. The box is centred
    on what was found and looked at again; of each structure the largest component stays. ``places``: by name, the
    voxel (z, y, x).
    """
    entry, spacing = card.localise, np.array(stack.spacing)
    centres, turn, said = place_boxes(stack, entry)
    matrix = turn * (card.preprocessing.spacing or 1.0) / spacing[:, None]
    total = np.zeros((card.out_channels, *stack.pixels.shape), np.float32)
    warnings, places, volumes = said, {}, {}
    for name, centre in zip(entry.names, centres, strict=True):
        for axes in (*[(0,)] * ROUGH_LOOKS, None):
            grid = Grid.around(centre, entry.box[::-1], matrix)
            pixels = grid.cut(stack.pixels)
            answer = look(pixels, axes=axes)
            found = largest(answer, card.threshold)
            if axes and found.any():
                where = np.argwhere(found)
                centre = centre + matrix @ ((where.min(0) + where.max(0)) / 2 - (np.array(grid.shape) - 1) / 2)
        background = np.zeros_like(answer)
        background[0] = card.out_channels > 1
        near = foreground_of(answer) >= card.threshold / 5  # all that hangs together with what was found
        kept = binary_propagation(found, np.ones((3, 3, 3)), near)
        grid.put_back(np.where(kept, answer - background, 0)[: card.out_channels], total)
        places[name] = tuple(float(n) for n in centre)
        volumes[name] = np.count_nonzero(found) * (card.preprocessing.spacing or 1.0) ** 3 / 1000
        low, high = entry.volumes
        if not low <= volumes[name] <= high:
            warnings.append(f"{name}: {volumes[name]:.2f} mL found, where {low:g} to {high:g} are usual")
        elif strange := ood_warning(MedicalImage(pixels, "ZYX"), card):
            warnings.append(f"{name}: {strange}")
    total[0] += card.out_channels > 1
    if min(volumes.values()) < max(volumes.values()) / 2:
        sizes = ", ".join(f"{name} {volume:.2f} mL" for name, volume in volumes.items())
        warnings.append(f"very unequal ({sizes}): look whether all of it was found")
    return total, float(spacing[1] / (card.preprocessing.spacing or 1.0)), tuple(warnings), places


def largest(answer: np.ndarray, threshold: float) -> np.ndarray:
    """(z, y, x) bool: the largest component of the foreground of (K, z, y, x)."""
    regions, count = label(foreground_of(answer) >= threshold, np.ones((3, 3, 3)))
    sizes = np.bincount(regions.reshape(-1))[1:]
    return regions == 1 + sizes.argmax() if count else regions > 0


def place_boxes(stack: MedicalImage, entry: Localise) -> tuple[list[np.ndarray], np.ndarray, list[str]]:
    """Where the structures of ``entry`` lie in a (Z, Y, X) stack: their centres in voxels (z, y, x); the (3, 3)
    directions of the boxes, a rotation; and warnings. Raises ModelError where SimpleITK is missing.
    """
    template, spacing = to_stack(read_image(TEMPLATES / entry.template)), np.array(stack.spacing)
    matrix, shift, alike = register(template, stack, TURNS[:1])
    warnings = []
    if alike < CLEARLY_ALIKE:
        turned, moved, other = register(template, stack, TURNS)
        if other > 1.2 * alike:
            matrix, shift, alike = turned, moved, other
            lies = "the head lies otherwise than its file says: found all the same, but left and right may be swapped"
            warnings.append(lies)
    if alike < ALIKE:
        warnings.append(f"hardly like a head (mutual information with the template {alike:.2f}, usually above {ALIKE})")
    left, _, right = np.linalg.svd(matrix)
    origin = origin_of(entry.template)
    centres = [matrix @ (origin + np.array(c) * (-1, -1, 1)) + shift for c in entry.centres]
    return [centre[::-1] / spacing for centre in centres], (left @ right)[::-1, ::-1], warnings


@cache
def origin_of(template: str) -> np.ndarray:
    """(3,) where the template's world has its origin."""
    image = read_image(TEMPLATES / template)  # in RAS order
    first = np.linalg.solve(image.affine, (0, 0, 0, 1))[:3]
    size = np.array(image.spatial_shape) - 1
    return np.where((True, True, False), size - first, first) * image.spacing


def all_turns() -> list[np.ndarray]:
    """The 24 rotations by quarter turns, the identity first."""
    turns = [np.eye(3)[list(p)] * signs for p in permutations(range(3)) for signs in product((1, -1), repeat=3)]
    return sorted((turn for turn in turns if np.linalg.det(turn) > 0), key=lambda turn: -np.trace(turn))


TURNS = all_turns()


def at(stack: MedicalImage, step: float) -> tuple[np.ndarray, np.ndarray]:
    """((Z, Y, X) from 0 to 1 at about ``step`` mm, the (3,) spacing (x, y, z))."""
    size = np.array(stack.pixels.shape) * stack.spacing
    pixels = resize_volume(np.nan_to_num(stack.pixels), tuple(np.maximum(1, np.rint(size / step)).astype(int)))
    low, high = np.percentile(pixels, (1, 99.7))
    return np.clip((pixels - low) / max(high - low, 1e-6), 0, 1), (size / pixels.shape)[::-1]


def register(template: MedicalImage, stack: MedicalImage, turns) -> tuple[np.ndarray, np.ndarray, float]:
    """(matrix, shift, mutual information): template's positions p lie at ``matrix @ p + shift`` in the stack."""
    try:
        import SimpleITK as sitk
    except ImportError as error:
        raise ModelError(
            "A whole head is registered with SimpleITK: pip install SimpleITK. Or cut out a crop."
        ) from error

    def to_itk(pixels: np.ndarray, spacing: np.ndarray):
        image = sitk.GetImageFromArray(pixels)
        image.SetSpacing(spacing.tolist())
        image.SetOrigin((spacing / 2).tolist())
        return image

    found: list = []
    for step, share, length in ((COARSE, 1.0, 4.0), (FINE, 0.3, 2.0)):
        (still, still_step), (moving, moving_step) = at(template, step), at(stack, step)
        brain = binary_dilation(still > 0.03, iterations=max(1, round(MARGIN / step)))
        middle = (np.argwhere(brain).mean(0)[::-1] + 0.5) * still_step
        points = (np.argwhere(brain)[:, ::-1] + 0.5) * still_step, to_bins(still[brain])
        information = partial(mutual_information, *points, moving, moving_step)
        if not found:
            reach = np.maximum(0, moving_step * moving.shape[::-1] / 2 - 50)  # a brain lies whole in the image
            grid = [np.arange(-r, r + 1, 2 * step if len(turns) == 1 else 3 * step) for r in reach]
            centre = moving_step * moving.shape[::-1] / 2
            starts = [(turn, centre + c - turn @ middle) for turn in turns for c in product(*grid)]
            some = partial(mutual_information, points[0][::3], points[1][::3], moving, moving_step)
            found = sorted(starts, key=lambda start: -some(*start))[:5]
        method = sitk.ImageRegistrationMethod()
        method.SetNumberOfThreads(1)  # the same answer on any machine
        method.SetMetricAsMattesMutualInformation(32)
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(share, 1)
        method.SetMetricFixedMask(to_itk(brain.astype(np.uint8), still_step))
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(length, 0.01, 100)
        method.SetOptimizerScalesFromPhysicalShift()
        better = []
        for matrix, shift in found:
            transform = sitk.AffineTransform(3)
            transform.SetCenter(middle.tolist())
            transform.SetMatrix(matrix.ravel().tolist())
            transform.SetTranslation((matrix @ middle + shift - middle).tolist())
            method.SetInitialTransform(transform, True)
            try:
                method.Execute(to_itk(still, still_step), to_itk(moving, moving_step))
                matrix = np.array(transform.GetMatrix()).reshape(3, 3)
                shift = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
            except RuntimeError:  # the template left the image: the start is kept
                pass
            better.append((matrix, shift))
        found = sorted(better, key=lambda start: -information(*start))[:1]
    return *found[0], information(*found[0])


def to_bins(values: np.ndarray) -> np.ndarray:
    return np.minimum(BINS * values, BINS - 1).astype(np.intp)


def mutual_information(points, known, moving, spacing, matrix, shift) -> float:
    """Of the template's values (N,) in bins with the image's at the same (N, 3) points; in nats."""
    where = ((points @ matrix.T + shift) / spacing - 0.5).T[::-1]
    seen = to_bins(map_coordinates(moving, where, order=1))
    joint = np.bincount(known * BINS + seen, minlength=BINS**2).reshape(BINS, BINS) / len(known)
    apart = joint.sum(1, keepdims=True) * joint.sum(0)
    return float((joint[joint > 0] * np.log(joint[joint > 0] / apart[joint > 0])).sum())
