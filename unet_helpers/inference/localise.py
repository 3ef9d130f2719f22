"""Small structures in a whole head: the network sees a box around each of them.

Where the boxes lie is told by an affine registration of a template to the image (see
``registration``), and corrected by what the network finds in them. Voxels are (z, y, x) of the
stack.
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

# Times that a box is looked at along one axis alone, to centre it on what is found in it.
CENTRING_PASSES = 2

# What is connected to a structure belongs to it down to this share of the card's threshold.
CONNECTED_SHARE = 0.2

# Mutual information with the template, in nats: heads that lie as their header says had 0.22 to
# 1.4, heads that do not up to 0.26. Below the first an image is hardly a head; below the second
# other orientations are tried, too.
LEAST_INFORMATION = 0.2
CLEAR_INFORMATION = 0.35

# Another orientation is believed where its mutual information is so many times larger.
CLEARLY_BETTER = 1.2

# The smallest structure has at least this share of the largest one's volume, else that is said.
LEAST_SHARE_OF_VOLUME = 0.5

# Gives the answer (K, z, y, x) of the network for the pixels (z, y, x) of a box, averaged over
# slices along the axes given, or along the card's where these are None.
PredictBox = Callable[[np.ndarray, tuple[int, ...] | None], np.ndarray]


@dataclass(frozen=True, eq=False)
class BoxPlacement:
    """Where the boxes around structures lie in a stack."""

    centres: list[np.ndarray]  # one (3,) voxel (z, y, x) a structure
    directions: np.ndarray  # (3, 3) rotation from the axes of a box to those of the stack
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Box:
    """A box around a structure and what the network answered in it."""

    grid: Grid  # where its voxels lie in the stack
    pixels: np.ndarray  # (z, y, x)
    answer: np.ndarray  # (K, z, y, x) float32, probabilities
    structure: np.ndarray  # (z, y, x) bool: the largest component above the threshold

    @property
    def middle_of_structure(self) -> np.ndarray | None:
        """(3,) voxels from the box's middle to that of the structure's extent; None if empty."""
        if not self.structure.any():
            return None
        voxels = np.argwhere(self.structure)
        middle = (voxels.min(0) + voxels.max(0)) / 2
        return middle - (np.array(self.grid.shape) - 1) / 2


@dataclass(frozen=True, eq=False)
class LocalisedPrediction:
    """The network's answer for a stack, of which it saw boxes alone."""

    probabilities: np.ndarray  # (K, Z, Y, X) float32
    zoom: float  # working px per px of the stack, along its rows
    places: dict[str, tuple[float, ...]]  # by name of the structure, the box's middle (z, y, x)
    warnings: tuple[str, ...]


def predict_boxes(stack: Stack, card: ModelCard, predict_box: PredictBox) -> LocalisedPrediction:
    """Segment the structures that a card localises in a (Z, Y, X) stack, each in its own box."""
    entry = card.localise
    assert entry is not None
    assert stack.spacing is not None  # as Localise.wanted has made sure

    placement = place_boxes(stack, entry)
    step = card.preprocessing.spacing or 1.0
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
        total[0] += 1.0  # so far it holds how much the background differs from 1

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
    """Cut the box around a centre (z, y, x) and ask the network for the structure in it.

    ``voxels_per_step``: (3, 3) voxels of the stack for a step along each axis of the box.
    """
    # Loads scikit-image, which `import unet_helpers` must not.
    from ..results.objects import drop_small_components

    assert card.localise is not None
    shape = card.localise.box[::-1]
    grid = Grid.around(centre, shape, voxels_per_step)
    pixels = grid.cut(stack.pixels)
    answer = predict_box(pixels, axes)
    structure = drop_small_components(foreground_of(answer) >= card.threshold, 1)
    return Box(grid=grid, pixels=pixels, answer=answer, structure=structure)


def answer_of_structure(box: Box, card: ModelCard) -> np.ndarray:
    """Take the answer (K, z, y, x) near the structure, as its difference from background alone.

    Near is what is connected to the structure and fainter than it, so that other thresholds show
    something, too.
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
    """Warn of an unusual volume (mL) of a structure, or else of unusual pixels in its box."""
    low, high = entry.volumes
    if not low <= volume <= high:
        return [f"{name}: {volume:.2f} mL found, where {low:g} to {high:g} are usual"]

    unlike = distribution_warning(View(MedicalImage(box.pixels, "ZYX")), card)
    if unlike:
        return [f"{name}: {unlike}"]
    return []


def check_equal_volumes(volumes: dict[str, float]) -> list[str]:
    """Warn where the volumes (mL, by name) of structures that come in pairs differ much."""
    if min(volumes.values()) >= LEAST_SHARE_OF_VOLUME * max(volumes.values()):
        return []
    sizes = ", ".join(f"{name} {volume:.2f} mL" for name, volume in volumes.items())
    return [f"very unequal ({sizes}): look whether all of it was found"]


def place_boxes(stack: Stack, entry: Localise) -> BoxPlacement:
    """Find where the structures of a card's entry lie in a (Z, Y, X) stack.

    Raises ModelError where SimpleITK is missing.
    """
    image = read_image(TEMPLATES / entry.template)
    template = to_stack(image)

    registration, warnings = register_head(template, stack)
    placement = registration.placement

    # The nearest rotation to the affine matrix: boxes are neither stretched nor sheared.
    left, _, right = np.linalg.svd(placement.matrix)
    rotation = left @ right

    centres = placement.apply(template_positions(image, entry))
    return BoxPlacement(
        centres=list(centres[:, ::-1] / stack.spacing),
        directions=rotation[::-1, ::-1],
        warnings=warnings,
    )


def register_head(template: Stack, stack: Stack) -> tuple[Registration, tuple[str, ...]]:
    """Register as the header says the head lies, or in any other way where that fits badly.

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
    """Give all 24 rotations (3, 3) that bring the axes onto each other."""
    from scipy.spatial.transform import Rotation

    return list(np.rint(Rotation.create_group("O").as_matrix()))


def template_positions(image: MedicalImage, entry: Localise) -> np.ndarray:
    """Give (N, 3) positions of the structures in the template, in mm to left, back and head.

    ``image`` is the template as read, an (X, Y, Z) volume whose axes run to right, front and head.
    """
    assert image.affine is not None
    assert image.spacing is not None  # as templates are NIfTI files

    in_world = np.column_stack([entry.centres, np.ones(len(entry.centres))])
    voxels = np.linalg.solve(image.affine, in_world.T)[:3].T

    # Counted from the left and the back, as the stack is.
    width, depth = image.spatial_shape[:2]
    voxels[:, 0] = width - 1 - voxels[:, 0]
    voxels[:, 1] = depth - 1 - voxels[:, 1]
    return voxels * image.spacing
