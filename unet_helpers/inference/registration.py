"""Affine registration of a head template to an image, by mutual information.

Mattes mutual information (Mattes et al. 2003, IEEE TMI 22(1):120) inside the template's brain, with
SimpleITK: first at 8 mm per voxel from the best of hundreds or thousands of starts,
then at 4 mm. Positions are (x, y,
z) in mm from the corner of the stack's first voxel; the axes point to the patient's left, back and
head (LPS).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import scipy

from ..errors import ModelError
from ..images.stack import Stack
from ..preprocessing.resample import resize, resize_channels

# Bins along each axis of the joint histogram with which placements are compared.
HISTOGRAM_BINS = 16

# Bins along each axis of the histogram inside SimpleITK's metric, finer so that it has a gradient.
METRIC_BINS = 32

# mm: margin around the template's brain that is also compared, so that its border counts.
BRAIN_MARGIN = 5.0

# Values of the template above this, on a scale of 0 to 1, are brain: outside the brain it is 0.
BRAIN_THRESHOLD = 0.03

# mm: the brain's centre lies at least this far from the image's border, because the whole brain is
# in the image.
BRAIN_RADIUS = 50.0

# The coarse registration starts from this many of the candidates, the best ones.
STARTS_TRIED = 5

# Candidates are compared at every third voxel of the brain, for speed.
CANDIDATE_STRIDE = 3

# Percentiles of an image that become 0 and 1 before it is compared.
PERCENTILES = (1, 99.7)

# mm: the optimiser stops when its steps are shorter than this.
MIN_STEP = 0.01

# The optimiser stops after this many steps.
MAX_ITERATIONS = 100


@dataclass(frozen=True)
class Stage:
    """One stage of the registration."""

    step: float  # mm per voxel of template and image
    sampling: float  # share of the brain's voxels that the metric reads
    longest_move: float  # mm, the optimiser's first step


COARSE = Stage(step=8.0, sampling=1.0, longest_move=4.0)
FINE = Stage(step=4.0, sampling=0.3, longest_move=2.0)


@dataclass(frozen=True, eq=False)
class Placement:
    """An affine map from the template to the image: point p maps to ``matrix @ p + shift``."""

    matrix: np.ndarray  # (3, 3), without a unit
    shift: np.ndarray  # (3,) mm, (x, y, z)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Map (N, 3) positions in the template to positions in the image, both in mm."""
        return points @ self.matrix.T + self.shift


@dataclass(frozen=True, eq=False)
class Registration:
    """The best placement and how well the image fits the template there."""

    placement: Placement
    information: float  # mutual information of template and image, in nats


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume at one resolution."""

    values: np.ndarray  # (Z, Y, X) float, from 0 to 1
    spacing: np.ndarray  # (3,) mm per voxel, (x, y, z)

    @classmethod
    def of(cls, stack: Stack, step: float) -> "Volume":
        """Resample a (Z, Y, X) stack to about ``step`` mm per voxel."""
        # Checked by `Localise.wanted` in networks/cards.py.
        assert stack.spacing is not None

        # mm, (z, y, x), as the spacing.
        size = np.array(stack.pixels.shape) * stack.spacing
        depth, height, width = np.maximum(1, np.rint(size / step)).astype(int).tolist()

        # In the plane first, then across the slices.
        pixels = np.nan_to_num(stack.pixels).astype(np.float32)
        pixels = resize_channels(pixels, (height, width))
        pixels = resize(pixels.reshape(len(pixels), -1), (depth, height * width))
        pixels = pixels.reshape(depth, height, width)

        low, high = np.percentile(pixels, PERCENTILES)
        values = np.clip((pixels - low) / max(high - low, 1e-6), 0, 1)

        # From (z, y, x) to (x, y, z).
        return cls(values=values, spacing=(size / pixels.shape)[::-1])


@dataclass(frozen=True, eq=False)
class Pair:
    """Template and image at one resolution, and the part of the template that is compared."""

    template: Volume
    image: Volume
    brain: np.ndarray  # (Z, Y, X) bool, voxels of the template that are compared
    points: np.ndarray  # (N, 3) mm, positions (x, y, z) of these voxels in the template

    @classmethod
    def at(cls, template: Stack, stack: Stack, step: float) -> "Pair":
        """Resample both stacks (Z, Y, X) to about ``step`` mm per voxel."""
        fixed = Volume.of(template, step)
        margin = max(1, round(BRAIN_MARGIN / step))
        brain = fixed.values > BRAIN_THRESHOLD
        brain = scipy.ndimage.binary_dilation(brain, iterations=margin)

        # The centre of voxel i is at (i + 0.5) * spacing.
        points = (np.argwhere(brain)[:, ::-1] + 0.5) * fixed.spacing
        return cls(template=fixed, image=Volume.of(stack, step), brain=brain, points=points)

    @property
    def brain_centre(self) -> np.ndarray:
        """(3,) mm, (x, y, z): the mean position of the brain in the template."""
        return self.points.mean(0)

    def information(self, placement: Placement, stride: int = 1) -> float:
        """Return the mutual information (nats) at a placement, of every ``stride``-th voxel."""
        positions = placement.apply(self.points[::stride])

        # Indices of voxels count from the centre of the first one. Outside the image its value is
        # 0.
        voxels = (positions / self.image.spacing - 0.5).T[::-1]
        image = scipy.ndimage.map_coordinates(self.image.values, voxels, order=1)
        return mutual_information(self.template.values[self.brain][::stride], image)


def register(template: Stack, stack: Stack, rotations: Sequence[np.ndarray]) -> Registration:
    """Place a (Z, Y, X) template in a (Z, Y, X) stack, starting from each of the rotations (3, 3).

    Raises ModelError if SimpleITK is missing.
    """
    # Fail early if SimpleITK is missing.
    import_simpleitk()

    coarse = Pair.at(template, stack, COARSE.step)
    candidates = candidate_starts(coarse, rotations)
    starts = best_starts(coarse, candidates)
    refined = [refine(coarse, start, COARSE) for start in starts]
    best = max(refined, key=coarse.information)

    fine = Pair.at(template, stack, FINE.step)
    placement = refine(fine, best, FINE)
    return Registration(placement=placement, information=fine.information(placement))


def candidate_starts(pair: Pair, rotations: Sequence[np.ndarray]) -> list[Placement]:
    """Put the brain's centre on a grid of positions around the image's, at each rotation (3, 3)."""
    pitch = 2 * COARSE.step
    if len(rotations) > 1:
        pitch = 3 * COARSE.step  # fewer positions, as there are more rotations

    centre = pair.image.spacing * pair.image.values.shape[::-1] / 2
    reach = np.maximum(0, centre - BRAIN_RADIUS)

    # mm. The grid starts at -length, so it need not contain 0.
    offsets = [np.arange(-length, length + 1, pitch) for length in reach]

    starts = []
    for rotation in rotations:
        turned_centre = rotation @ pair.brain_centre
        starts += [
            Placement(matrix=rotation, shift=centre + offset - turned_centre)
            for offset in product(*offsets)
        ]
    return starts


def best_starts(pair: Pair, candidates: list[Placement]) -> list[Placement]:
    """Choose the candidates with most mutual information, the best last."""

    def coarse_information(placement: Placement) -> float:
        return pair.information(placement, CANDIDATE_STRIDE)

    return sorted(candidates, key=coarse_information)[-STARTS_TRIED:]


def refine(pair: Pair, start: Placement, stage: Stage) -> Placement:
    """Find the affine placement near a start at which the mutual information is largest."""
    sitk = import_simpleitk()
    fixed = as_itk(pair.template.values, pair.template.spacing)
    moving = as_itk(pair.image.values, pair.image.spacing)
    mask = as_itk(pair.brain.astype(np.uint8), pair.template.spacing)

    # SimpleITK's affine transform turns about a centre. The brain's is chosen, so that turning
    # hardly shifts the brain.
    centre = pair.brain_centre
    translation = start.matrix @ centre + start.shift - centre
    transform = sitk.AffineTransform(
        start.matrix.ravel().tolist(), translation.tolist(), centre.tolist()
    )

    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # more threads would make results differ between machines
    method.SetMetricAsMattesMutualInformation(METRIC_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(stage.sampling, 1)  # 1 is the seed
    method.SetMetricFixedMask(mask)
    method.SetOptimizerAsRegularStepGradientDescent(stage.longest_move, MIN_STEP, MAX_ITERATIONS)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)

    # SimpleITK raises an error if the template leaves the image.
    try:
        method.Execute(fixed, moving)
    except RuntimeError:
        return start

    # ``Execute`` has changed ``transform`` in place.
    matrix = np.array(transform.GetMatrix()).reshape(3, 3)
    shift = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    return Placement(matrix=matrix, shift=shift)


def import_simpleitk() -> Any:
    """Import SimpleITK; ModelError if it is not installed."""
    try:
        import SimpleITK as sitk  # noqa: N813 - its own documentation calls it so
    except ImportError as error:
        raise ModelError(
            "A whole head is registered with SimpleITK: pip install SimpleITK. Or cut out a crop."
        ) from error
    return sitk


def as_itk(values: np.ndarray, spacing: np.ndarray) -> Any:
    """Return a (Z, Y, X) array as a SimpleITK image; the first voxel has its corner at 0 mm.

    ``spacing`` is (x, y, z) in mm; SimpleITK's origin is the centre of the first voxel.
    """
    image = import_simpleitk().GetImageFromArray(values)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin((spacing / 2).tolist())
    return image


def mutual_information(template: np.ndarray, image: np.ndarray) -> float:
    """Return the mutual information (nats) of two arrays (N,) of values from 0 to 1.

    It is H(template) + H(image) - H(template, image), with H the entropy of their histograms.
    """
    pairs = np.stack((template, image))
    rows, columns = np.minimum(HISTOGRAM_BINS * pairs, HISTOGRAM_BINS - 1).astype(np.intp)
    counts = np.bincount(rows * HISTOGRAM_BINS + columns, minlength=HISTOGRAM_BINS**2)
    joint = counts.reshape(HISTOGRAM_BINS, HISTOGRAM_BINS) / len(template)

    entropy_of_image = scipy.special.entr(joint.sum(0)).sum()
    entropy_of_template = scipy.special.entr(joint.sum(1)).sum()
    joint_entropy = scipy.special.entr(joint).sum()
    return float(entropy_of_image + entropy_of_template - joint_entropy)
