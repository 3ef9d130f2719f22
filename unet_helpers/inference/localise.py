"""Small structures in a whole head: where a card's boxes lie, by affine registration of a template to the image.

Mattes mutual information (Mattes et al. 2003, IEEE TMI 22(1):120) inside the template's brain, with SimpleITK: first
at 8 mm from the best of some hundred places, then at 4 mm. Positions are (x, y, z) in mm from the stack's first voxel,
to the patient's left, back and head.
"""

from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import scipy

from ..errors import ModelError
from ..images.image import MedicalImage
from ..images.orientation import to_stack
from ..images.read import read_image
from ..networks.cards import Localise, ModelCard
from ..preprocessing.out_of_distribution import ood_warning
from ..preprocessing.resample import Grid, resize, resize_channels
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
    on what was found and looked at again; the largest component stays. ``places``: by name, the voxel (z, y, x).
    """
    from ..results.objects import (
        drop_small_components,
    )  # loads scikit-image, which `import unet_helpers` must not

    entry, size, spacing = card.localise, card.preprocessing.spacing or 1.0, np.array(stack.spacing)
    centres, turn, warnings = place_boxes(stack, entry)
    matrix, (low, high) = turn * size / spacing[:, None], entry.volumes
    total, places, volumes = np.zeros((card.out_channels, *stack.pixels.shape), np.float32), {}, {}
    for name, centre in zip(entry.names, centres, strict=True):
        for axes in (*[(0,)] * ROUGH_LOOKS, None):
            grid = Grid.around(centre, entry.box[::-1], matrix)
            pixels = grid.cut(stack.pixels)
            answer = look(pixels, axes=axes)
            found = drop_small_components(foreground_of(answer) >= card.threshold, 1)
            if axes and found.any():
                where = np.argwhere(found)
                centre = centre + matrix @ (
                    (where.min(0) + where.max(0)) / 2 - (np.array(grid.shape) - 1) / 2
                )
        near = (
            foreground_of(answer) >= card.threshold / 5
        )  # all that hangs together with what was found
        answer[0] -= card.out_channels > 1  # of the background, what differs from 1
        whole = scipy.ndimage.binary_propagation(found, np.ones((3, 3, 3)), near)
        grid.put_back((answer * whole)[: card.out_channels], total)
        places[name] = tuple(float(n) for n in centre)
        volumes[name] = np.count_nonzero(found) * size**3 / 1000
        if not low <= volumes[name] <= high:
            warnings.append(
                f"{name}: {volumes[name]:.2f} mL found, where {low:g} to {high:g} are usual"
            )
        elif strange := ood_warning(MedicalImage(pixels, "ZYX"), card):
            warnings.append(f"{name}: {strange}")
    total[0] += card.out_channels > 1
    if min(volumes.values()) < max(volumes.values()) / 2:
        sizes = ", ".join(f"{name} {volume:.2f} mL" for name, volume in volumes.items())
        warnings.append(f"very unequal ({sizes}): look whether all of it was found")
    return total, float(spacing[1] / size), tuple(warnings), places


def place_boxes(
    stack: MedicalImage, entry: Localise
) -> tuple[list[np.ndarray], np.ndarray, list[str]]:
    """Where the structures of ``entry`` lie in a (Z, Y, X) stack: their centres in voxels (z, y, x); the (3, 3)
    directions of the boxes, a rotation; and warnings. Raises ModelError where SimpleITK is missing.
    """
    from scipy.spatial.transform import Rotation

    image, warnings = read_image(TEMPLATES / entry.template), []  # in RAS order
    template = to_stack(image)
    matrix, shift, alike = register(template, stack, [np.eye(3)])
    if alike < CLEARLY_ALIKE:
        turned, moved, other = register(
            template, stack, np.rint(Rotation.create_group("O").as_matrix())
        )
        if other > 1.2 * alike:
            matrix, shift, alike = turned, moved, other
            lies = "the head lies otherwise than its file says: found all the same, but left and right may be swapped"
            warnings.append(lies)
    if alike < ALIKE:
        warnings.append(
            f"hardly like a head (mutual information with the template {alike:.2f}, usually above {ALIKE})"
        )
    left, _, right = np.linalg.svd(matrix)
    voxels = np.linalg.solve(image.affine, np.c_[entry.centres, np.ones(len(entry.centres))].T)[
        :3
    ].T
    voxels[:, :2] = (
        np.array(image.spatial_shape[:2]) - 1 - voxels[:, :2]
    )  # from the left and the back
    centres = (voxels * image.spacing) @ matrix.T + shift
    return list(centres[:, ::-1] / stack.spacing), (left @ right)[::-1, ::-1], warnings


def at(stack: MedicalImage, step: float) -> tuple[np.ndarray, np.ndarray]:
    """((Z, Y, X) from 0 to 1 at about ``step`` mm, the (3,) spacing (x, y, z))."""
    size = np.array(stack.pixels.shape) * stack.spacing
    shape = tuple(np.maximum(1, np.rint(size / step)).astype(int))
    pixels = resize_channels(
        np.nan_to_num(stack.pixels).astype(np.float32), shape[1:]
    )  # in the plane, then across
    pixels = resize(pixels.reshape(len(pixels), -1), (shape[0], shape[1] * shape[2])).reshape(shape)
    low, high = np.percentile(pixels, (1, 99.7))
    return np.clip((pixels - low) / max(high - low, 1e-6), 0, 1), (size / pixels.shape)[::-1]


def register(
    template: MedicalImage, stack: MedicalImage, turns
) -> tuple[np.ndarray, np.ndarray, float]:
    """(matrix, shift, mutual information): template's positions p lie at ``matrix @ p + shift`` in the stack."""
    try:
        import SimpleITK as sitk
    except ImportError as error:
        words = (
            "A whole head is registered with SimpleITK: pip install SimpleITK. Or cut out a crop."
        )
        raise ModelError(words) from error

    def to_itk(pixels: np.ndarray, spacing: np.ndarray):
        image = sitk.GetImageFromArray(pixels)
        image.SetSpacing(spacing.tolist())
        image.SetOrigin((spacing / 2).tolist())
        return image

    found: list = []
    for step, share, length in ((COARSE, 1.0, 4.0), (FINE, 0.3, 2.0)):
        (still, still_step), (moving, moving_step) = at(template, step), at(stack, step)
        brain = scipy.ndimage.binary_dilation(still > 0.03, iterations=max(1, round(MARGIN / step)))
        points = (np.argwhere(brain)[:, ::-1] + 0.5) * still_step
        middle = points.mean(0)
        if not found:
            centre = moving_step * moving.shape[::-1] / 2
            reach = np.maximum(0, centre - 50)  # a brain lies whole in the image
            grid = [np.arange(-r, r + 1, 2 * step if len(turns) == 1 else 3 * step) for r in reach]
            starts = [(turn, centre + c - turn @ middle) for turn in turns for c in product(*grid)]
            found = sorted(
                starts,
                key=partial(information, points[::3], still[brain][::3], moving, moving_step),
            )[-5:]
        method = sitk.ImageRegistrationMethod()
        method.SetNumberOfThreads(1)  # the same answer on any machine
        method.SetMetricAsMattesMutualInformation(32)
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(share, 1)
        method.SetMetricFixedMask(to_itk(brain.astype(np.uint8), still_step))
        method.SetOptimizerAsRegularStepGradientDescent(length, 0.01, 100)
        method.SetOptimizerScalesFromPhysicalShift()
        for i, (matrix, shift) in enumerate(found):
            moved = matrix @ middle + shift - middle
            transform = sitk.AffineTransform(
                matrix.ravel().tolist(), moved.tolist(), middle.tolist()
            )
            method.SetInitialTransform(transform, True)
            with suppress(RuntimeError):  # the template left the image: the start is kept
                method.Execute(to_itk(still, still_step), to_itk(moving, moving_step))
                found[i] = (
                    np.array(transform.GetMatrix()).reshape(3, 3),
                    np.array(transform.TransformPoint((0.0,) * 3)),
                )
        alike = partial(information, points, still[brain], moving, moving_step)
        found = [max(found, key=alike)]
    return *found[0], alike(found[0])


def information(
    points: np.ndarray, known: np.ndarray, moving: np.ndarray, spacing: np.ndarray, placed
) -> float:
    """Mutual information (nats) of the template's values at (N, 3) points with the image's where these are placed."""
    where = ((points @ placed[0].T + placed[1]) / spacing - 0.5).T[::-1]
    values = np.stack((known, scipy.ndimage.map_coordinates(moving, where, order=1)))
    template, image = np.minimum(BINS * values, BINS - 1).astype(np.intp)
    joint = np.bincount(template * BINS + image, minlength=BINS**2).reshape(BINS, BINS) / len(known)
    rows, columns, both = (
        scipy.special.entr(shares).sum() for shares in (joint.sum(0), joint.sum(1), joint)
    )
    return float(rows + columns - both)
