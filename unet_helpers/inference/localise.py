"""Finds small structures in a whole head: the network sees a box around each of them.

The positions of the boxes are computed by affine registration of a template to the image (see
``registration``), and then corrected from what the network finds in the boxes. Voxels are (z, y, x)
of the stack.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy

from ..checks.checks import distribution_warning
from ..checks.view import View
from ..images.image import MedicalImage
from ..images.read import read_image
from ..images.stack import Stack, to_stack
from ..networks.cards import Localise, ModelCard
from ..preprocessing.resample import Grid
from ..results.segmentation import foreground_of
from .registration import Registration, register

TEMPLATES = Path(__file__).parent.parent / "templates"

# How often a box is centred on the structure that is found in it. For speed, the network then sees
# its slices along one axis only.
CENTRING_PASSES = 2

# Voxels connected to a structure belong to it if their probability is at least this share of the
# card's threshold.
CONNECTED_SHARE = 0.2

# Mutual information with the template, in nats. Measured: 0.22 to 1.4 in heads whose header has the
# right orientation, up to 0.26 in heads whose header has a wrong one. Below the first constant an
# image is hardly a head; below the second one other orientations are also tried.
LEAST_INFORMATION = 0.2
CLEAR_INFORMATION = 0.35

# Another orientation is chosen if its mutual information is more than this times larger.
CLEARLY_BETTER = 1.2

# A warning is given if the volume of the smallest structure / that of the largest is below this.
LEAST_SHARE_OF_VOLUME = 0.5

# A function of (pixels, axes) that returns the probabilities (K, z, y, x) for the pixels (z, y, x)
# of a box, averaged over the axes along which it is sliced; None: the card's axes.
PredictBox = Callable[[np.ndarray, tuple[int, ...] | None], np.ndarray]


@dataclass(frozen=True, eq=False)
class BoxPlacement:
    """Positions of the boxes around structures in a stack."""

    centres: list[np.ndarray]  # for each structure, (3,) voxel (z, y, x)
    directions: np.ndarray  # (3, 3) rotation from the axes of a box to those of the stack
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Box:
    """A box around a structure and its prediction."""

    grid: Grid  # positions of its voxels in the stack
    pixels: np.ndarray  # (z, y, x)
    answer: np.ndarray  # (K, z, y, x) float32, probabilities
    structure: np.ndarray  # (z, y, x) bool: the largest component above the threshold

    @property
    def middle_of_structure(self) -> np.ndarray | None:
        """(3,) voxels from the box's middle to the middle of the structure's bounding box.

        None if there is no structure.
        """
        if not self.structure.any():
            return None
        voxels = np.argwhere(self.structure)
        middle = (voxels.min(0) + voxels.max(0)) / 2
        return middle - (np.array(self.grid.shape) - 1) / 2


@dataclass(frozen=True, eq=False)
class LocalisedPrediction:
    """The prediction for a stack of which the network saw only boxes."""

    probabilities: np.ndarray  # (K, Z, Y, X) float32
    zoom: float  # working px per px of the stack, along its rows
    places: dict[str, tuple[float, ...]]  # middle (z, y, x) of the box, by the structure's name
    warnings: tuple[str, ...]


def predict_boxes(stack: Stack, card: ModelCard, predict_box: PredictBox) -> LocalisedPrediction:
    """Segment the structures that a card localises in a (Z, Y, X) stack, each in its own box."""
    entry = card.localise
    assert entry is not None
    assert stack.spacing is not None  # checked by `Localise.wanted` in networks/cards.py

    placement = place_boxes(stack, entry)
    step = card.preprocessing.spacing or 1.0  # mm per voxel of the box
    voxels_per_step = placement.directions * step / np.array(stack.spacing)[:, None]

    total = np.zeros((card.out_channels, *stack.pixels.shape), np.float32)
    places: dict[str, tuple[float, ...]] = {}
    volumes: dict[str, float] = {}
    warnings = list(placement.warnings)
    for name, start in zip(entry.names, placement.centres, strict=True):
        centre = np.asarray(start)

        for _ in range(CENTRING_PASSES):
            box = look_at_box(stack, card, predict_box, centre, voxels_per_step, axes=(0,))
            middle = box.middle_of_structure
            if middle is not None:
                centre = centre + voxels_per_step @ middle

        box = look_at_box(stack, card, predict_box, centre, voxels_per_step, axes=None)
        box.grid.put_back(answer_of_structure(box, card), total)

        places[name] = tuple(float(position) for position in centre)
        volumes[name] = np.count_nonzero(box.structure) * step**3 / 1000
        warnings += check_box(name, volumes[name], box, card, entry)

    has_background = card.out_channels > 1
    if has_background:
        # So far it holds the background's difference from 1 (see `answer_of_structure`).
        total[0] += 1.0

    warnings += check_equal_volumes(volumes)
    return LocalisedPrediction(
        probabilities=total,
        zoom=float(stack.spacing[1] / step),
        places=places,
        warnings=tuple(warnings),
    )


def look_at_box(
    stack: Stack,
    card: ModelCard,
    predict_box: PredictBox,
    centre: np.ndarray,
    voxels_per_step: np.ndarray,
    axes: tuple[int, ...] | None,
) -> Box:
    """Cut the box around a centre (z, y, x) and predict the structure in it.

    ``voxels_per_step``: (3, 3), its columns are the voxels of the stack per step along each axis of
    the box.
    """
    # Loads scikit-image, which `import unet_helpers` must not.
    from ..results.objects import drop_small_components

    assert card.localise is not None
    shape = card.localise.box[::-1]  # from (x, y, z) to (z, y, x)
    grid = Grid.around(centre, shape, voxels_per_step)
    pixels = grid.cut(stack.pixels)
    answer = predict_box(pixels, axes)
    structure = drop_small_components(foreground_of(answer) >= card.threshold, 1)
    return Box(grid=grid, pixels=pixels, answer=answer, structure=structure)


def answer_of_structure(box: Box, card: ModelCard) -> np.ndarray:
    """Return the answer (K, z, y, x) near the structure, minus that of pure background; else 0.

    Near are voxels that are connected to the structure but have a lower probability, so that lower
    thresholds also change the mask.
    """
    near = foreground_of(box.answer) >= CONNECTED_SHARE * card.threshold
    touching = np.ones((3, 3, 3))  # also across edges and corners
    whole = scipy.ndimage.binary_propagation(box.structure, touching, near)

    difference = box.answer[: card.out_channels].copy()
    has_background = card.out_channels > 1
    if has_background:
        difference[0] -= 1.0
    return difference * whole


def check_box(name: str, volume: float, box: Box, card: ModelCard, entry: Localise) -> list[str]:
    """Return a warning if a structure's volume (mL) or else the pixels of its box are unusual."""
    low, high = entry.volumes
    if not low <= volume <= high:
        return [f"{name}: {volume:.2f} mL found, where {low:g} to {high:g} are usual"]

    unlike = distribution_warning(View(MedicalImage(box.pixels, "ZYX")), card)
    if unlike:
        return [f"{name}: {unlike}"]
    return []


def check_equal_volumes(volumes: dict[str, float]) -> list[str]:
    """Return a warning if the volumes (mL, by name) of paired structures differ much."""
    if min(volumes.values()) >= LEAST_SHARE_OF_VOLUME * max(volumes.values()):
        return []
    sizes = ", ".join(f"{name} {volume:.2f} mL" for name, volume in volumes.items())
    return [f"very unequal ({sizes}): look whether all of it was found"]


def place_boxes(stack: Stack, entry: Localise) -> BoxPlacement:
    """Find the positions of the structures of a card's entry in a (Z, Y, X) stack.

    Raises ModelError if SimpleITK is missing.
    """
    image = read_image(TEMPLATES / entry.template)
    template = to_stack(image)

    registration, warnings = register_head(template, stack)
    placement = registration.placement

    # The rotation nearest to the affine matrix, so that boxes are neither stretched nor sheared.
    left, _, right = np.linalg.svd(placement.matrix)
    rotation = left @ right

    centres = placement.apply(template_positions(image, entry))

    # From (x, y, z) in mm to (z, y, x) in voxels.
    return BoxPlacement(
        centres=list(centres[:, ::-1] / stack.spacing),
        directions=rotation[::-1, ::-1],
        warnings=warnings,
    )


def register_head(template: Stack, stack: Stack) -> tuple[Registration, tuple[str, ...]]:
    """Register in the header's orientation, and in all others if that one fits badly.

    Returns the registration and warnings.
    """
    warnings = []

    best = register(template, stack, [np.eye(3)])
    if best.information < CLEAR_INFORMATION:
        turned = register(template, stack, right_angle_rotations())
        if turned.information > CLEARLY_BETTER * best.information:
            best = turned
            warnings.append(
                "the head lies otherwise than its file says: found all the same, but left and "
                "right may be swapped"
            )

    if best.information < LEAST_INFORMATION:
        warnings.append(
            f"hardly like a head (mutual information with the template {best.information:.2f}, "
            f"usually above {LEAST_INFORMATION})"
        )
    return best, tuple(warnings)


def right_angle_rotations() -> list[np.ndarray]:
    """Return all 24 rotations (3, 3) that map the axes onto each other."""
    from scipy.spatial.transform import Rotation

    return list(np.rint(Rotation.create_group("O").as_matrix()))


def template_positions(image: MedicalImage, entry: Localise) -> np.ndarray:
    """Return (N, 3) positions (x, y, z) of the structures in the template, in mm (LPS).

    ``image`` is the template as read, an (X, Y, Z) volume whose axes point to right, front and head
    (RAS).
    """
    assert image.affine is not None
    assert image.spacing is not None  # as templates are NIfTI files

    in_world = np.column_stack([entry.centres, np.ones(len(entry.centres))])
    voxels = np.linalg.solve(image.affine, in_world.T)[:3].T

    # From RAS to LPS, like the stack: count x and y from the other end.
    width, depth = image.spatial_shape[:2]
    voxels[:, 0] = width - 1 - voxels[:, 0]
    voxels[:, 1] = depth - 1 - voxels[:, 1]
    return voxels * image.spacing
