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

# mm: in a wide image, the brain's centre lies at least this far from the border.
BRAIN_RADIUS = 50.0

# mm: in any image, the brain's centre may lie this far from the middle, up to the border: a part of
# a head need not have the brain in its middle.
FREE_REACH = 75.0

# An image that holds less than this share of the brain is a part of a head. It does not determine
# all twelve parameters of an affine map, so its placement only turns, shifts and scales.
WHOLE_BRAIN = 0.85

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
    information: float  # mutual information (nats) of template and image, of all of the brain
    coverage: float  # share of the template's brain that lies in the image, 0 to 1

    @property
    def information_inside(self) -> float:
        """Mutual information (nats) of the part of the brain that lies in the image."""
        return self.information / max(self.coverage, 1e-6)

    @property
    def scale(self) -> float:
        """Length in the image / length in the template, a mean over all directions."""
        return float(np.cbrt(abs(np.linalg.det(self.placement.matrix))))


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume at one resolution."""

    values: np.ndarray  # (Z, Y, X) float, from 0 to 1
    spacing: np.ndarray  # (3,) mm per voxel, (x, y, z)

    @classmethod
    def of(cls, stack: Stack, step: float) -> "Volume":
        """Resample a (Z, Y, X) stack to about ``step`` mm per voxel."""
        # Checked by `Localise.wanted` in networks/anatomy.py.
        assert stack.spacing is not None

        # mm, (z, y, x), as the spacing.
        size = np.array(stack.pixels.shape) * stack.spacing
        shape = np.maximum(1, np.rint(size / step)).astype(int)

        # Axes in the order of the memory, the fastest last: a head of 0.5 mm has 100 million
        # voxels. The last two axes are resized first, then the first one.
        order = np.argsort(np.abs(stack.pixels.strides))[::-1]
        first, second, third = shape[order].tolist()
        pixels = np.ascontiguousarray(stack.pixels.transpose(order), np.float32)
        if not np.isfinite(pixels).all():
            pixels = np.nan_to_num(pixels)
        pixels = resize_channels(pixels, (second, third))
        pixels = resize(pixels.reshape(len(pixels), -1), (first, second * third))
        pixels = pixels.reshape(first, second, third).transpose(np.argsort(order))

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
        """Return the mutual information (nats) at a placement, of every ``stride``-th voxel.

        It is that of the voxels in the image, times their share: the more of the brain agrees, the
        larger it is. The positive bias that few voxels have is then the same at all placements.
        """
        voxels = self.voxels_of(placement, stride)
        inside = self.are_inside(voxels)
        if not inside.any():
            return 0.0

        image = scipy.ndimage.map_coordinates(
            self.image.values, voxels[:, inside], order=1, mode="nearest"
        )
        template = self.template.values[self.brain][::stride][inside]
        return float(inside.mean() * mutual_information(template, image))

    def coverage(self, placement: Placement, stride: int = 1) -> float:
        """Return the share of the brain, 0 to 1, that lies in the image at a placement."""
        return float(self.are_inside(self.voxels_of(placement, stride)).mean())

    def voxels_of(self, placement: Placement, stride: int) -> np.ndarray:
        """Return (3, N): where in the image, (z, y, x), every ``stride``-th brain voxel lies.

        Indices count from the centre of the image's first voxel.
        """
        positions = placement.apply(self.points[::stride])
        return (positions / self.image.spacing - 0.5).T[::-1]

    def are_inside(self, voxels: np.ndarray) -> np.ndarray:
        """Return (N,) bool: which of the voxels (3, N) lie in the image."""
        last = np.array(self.image.values.shape)[:, None] - 0.5
        inside: np.ndarray = np.all((voxels >= -0.5) & (voxels <= last), axis=0)
        return inside


@dataclass(frozen=True, eq=False)
class Pairs:
    """Template and image at the resolutions of both stages, resampled once."""

    coarse: Pair
    fine: Pair

    @classmethod
    def of(cls, template: Stack, stack: Stack) -> "Pairs":
        """Resample both stacks (Z, Y, X); ModelError if SimpleITK is missing."""
        # Fail early if SimpleITK is missing.
        import_simpleitk()
        return cls(
            coarse=Pair.at(template, stack, COARSE.step), fine=Pair.at(template, stack, FINE.step)
        )


def register(pairs: Pairs, rotations: Sequence[np.ndarray]) -> Registration:
    """Place the template in the image, starting from each of the rotations (3, 3)."""
    coarse = pairs.coarse
    candidates = candidate_starts(coarse, rotations)
    starts = best_starts(coarse, candidates)
    refined = [refine(coarse, start, COARSE) for start in starts]
    best = max(refined, key=coarse.information)

    fine = pairs.fine
    placement = refine(fine, best, FINE)
    return Registration(
        placement=placement,
        information=fine.information(placement),
        coverage=fine.coverage(placement),
    )


def candidate_starts(pair: Pair, rotations: Sequence[np.ndarray]) -> list[Placement]:
    """Put the brain's centre on a grid of positions around the image's, at each rotation (3, 3)."""
    pitch = 2 * COARSE.step
    if len(rotations) > 1:
        pitch = 3 * COARSE.step  # fewer positions, as there are more rotations

    centre = pair.image.spacing * pair.image.values.shape[::-1] / 2
    reach = np.maximum(centre - BRAIN_RADIUS, np.minimum(centre, FREE_REACH))

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
    """Find the placement near a start at which the mutual information is largest.

    It is affine, or a similarity if the start has less than ``WHOLE_BRAIN`` of the brain in the
    image.
    """
    fixed = as_itk(pair.template.values, pair.template.spacing)
    moving = as_itk(pair.image.values, pair.image.spacing)
    mask = as_itk(pair.brain.astype(np.uint8), pair.template.spacing)

    transform = transform_from(start, pair.brain_centre)
    is_part = pair.coverage(start) < WHOLE_BRAIN
    if is_part:
        transform = similarity_from(start, pair.brain_centre)

    method = import_simpleitk().ImageRegistrationMethod()
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


def transform_from(start: Placement, centre: np.ndarray) -> Any:
    """Return SimpleITK's affine transform of a placement.

    It turns about ``centre``, (3,) mm: the brain's, so that turning hardly shifts the brain.
    """
    translation = start.matrix @ centre + start.shift - centre
    return import_simpleitk().AffineTransform(
        start.matrix.ravel().tolist(), translation.tolist(), centre.tolist()
    )


def similarity_from(start: Placement, centre: np.ndarray) -> Any:
    """Return SimpleITK's similarity transform that is nearest to a placement.

    It turns and scales about ``centre``, (3,) mm, which it maps to the same point.
    """
    left, sizes, right = np.linalg.svd(start.matrix)
    matrix = left @ right * sizes.mean()

    transform = import_simpleitk().Similarity3DTransform()
    transform.SetCenter(centre.tolist())
    transform.SetMatrix(matrix.ravel().tolist())
    transform.SetTranslation((start.matrix @ centre + start.shift - centre).tolist())
    return transform


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
