"""Finds small structures in a head or a part of one: the network sees a box around each of them.

The positions of the boxes are computed by registration of a template to the image (see
``registration``), and then corrected from what the network finds in the boxes. What cannot be the
structure is not given (see ``boxes``). Voxels are (z, y, x) of the stack.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..checks.checks import distribution_warning
from ..checks.view import View
from ..doubt import Doubt
from ..images.image import MedicalImage
from ..images.read import read_image
from ..images.stack import Stack, as_displayed, to_stack
from ..networks.anatomy import Localise
from ..networks.cards import ModelCard
from .boxes import (
    LEAST_INSIDE,
    Box,
    PredictBox,
    answer_of_structure,
    look_at_box,
    reason_to_refuse,
)
from .registration import Pairs, Registration, register

TEMPLATES = Path(__file__).parent.parent / "templates"

# How often a box is centred on the structure that is found in it. For speed, the network then sees
# its slices along one axis only.
CENTRING_PASSES = 2

# Mutual information with the template, in nats. Measured: 0.22 to 1.4 in heads whose header has the
# right orientation, up to 0.26 in heads whose header has a wrong one. Below the first constant an
# image is hardly a head; below the second one other orientations are also tried.
LEAST_INFORMATION = 0.2
CLEAR_INFORMATION = 0.35

# Another orientation is chosen if its mutual information is more than this times larger.
CLEARLY_BETTER = 1.2

# Length in the image / length in the template. Measured: 0.86 to 1.13 in adults' heads and parts of
# them, at most 0.66 in heads shrunk to 0.55, the size of a newborn's.
USUAL_SCALES = (0.75, 1.35)


@dataclass(frozen=True, eq=False)
class BoxPlacement:
    """Positions of the boxes around structures in a stack."""

    centres: list[np.ndarray]  # for each structure, (3,) voxel (z, y, x)
    directions: np.ndarray  # (3, 3) rotation from the axes of a box to those of the stack
    warnings: tuple[str, ...] = ()
    refusal: str = ""  # why no box can be placed; '' if all are


@dataclass(frozen=True, eq=False)
class LocalisedPrediction:
    """The prediction for a stack of which the network saw only boxes."""

    probabilities: np.ndarray  # (K, *spatial) float32, in the order of the file
    zoom: float  # working px per px of the stack, along its rows
    places: dict[str, tuple[float, ...]]  # middle (z, y, x) of the box, by the structure's name
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FoundStructure:
    """What is in the box of one structure."""

    centre: np.ndarray  # (3,) voxel (z, y, x)
    box: Box | None  # None if nothing is given
    warnings: tuple[str, ...]


def predict_boxes(stack: Stack, card: ModelCard, predict_box: PredictBox) -> LocalisedPrediction:
    """Segment the structures that a card localises in a (Z, Y, X) stack, each in its own box."""
    entry = card.localise
    assert entry is not None

    probabilities = np.zeros((card.out_channels, *stack.image.spatial_shape), np.float32)
    if card.has_background:
        probabilities[0] = 1.0

    if stack.spacing is None or len(stack.spacing) != 3:
        unknown = "the size of its voxels is not known. Pass spacing=, in mm along each axis"
        return nothing_given(probabilities, unknown)

    placement = place_boxes(stack, entry)
    if placement.refusal:
        return nothing_given(probabilities, placement.refusal)

    step = card.preprocessing.spacing or 1.0  # mm per voxel of the box
    voxels_per_step = placement.directions * step / np.array(stack.spacing)[:, None]

    # Views in the order of the stack: what is added to them is added to the probabilities.
    channels = [as_displayed(stack.image, channel) for channel in probabilities]
    places: dict[str, tuple[float, ...]] = {}
    warnings = list(placement.warnings)
    for name, start in zip(entry.names, placement.centres, strict=True):
        found = find_structure(name, stack, card, predict_box, np.asarray(start), voxels_per_step)
        warnings += found.warnings
        if found.box is not None:
            found.box.grid.put_back(answer_of_structure(found.box, card), channels)
            places[name] = tuple(float(position) for position in found.centre)

    if not places:
        warnings.insert(0, Doubt("nothing is given, as no structure was found that can be one."))
    return LocalisedPrediction(
        probabilities=probabilities,
        zoom=float(stack.spacing[1] / step),
        places=places,
        warnings=tuple(warnings),
    )


def nothing_given(probabilities: np.ndarray, reason: str) -> LocalisedPrediction:
    """Return a prediction without any structure, and why; ``probabilities`` are of background."""
    doubt = Doubt(f"larger than the crops that the network learnt, and nothing is given: {reason}.")
    return LocalisedPrediction(probabilities, zoom=1.0, places={}, warnings=(doubt,))


def find_structure(
    name: str,
    stack: Stack,
    card: ModelCard,
    predict_box: PredictBox,
    start: np.ndarray,
    voxels_per_step: np.ndarray,
) -> FoundStructure:
    """Find a structure near ``start``, a voxel (z, y, x), and check that it can be one.

    ``voxels_per_step``: see `look_at_box`.
    """
    centre = start
    for _ in range(CENTRING_PASSES):
        box = look_at_box(stack, card, predict_box, centre, voxels_per_step, axes=(0,))
        if box.grid.share_inside(stack.pixels.shape) < LEAST_INSIDE:
            return FoundStructure(start, None, (f"{name}: not whole in the image, so not given",))
        middle = box.middle_of_structure
        if middle is not None:
            centre = centre + voxels_per_step @ middle

    box = look_at_box(stack, card, predict_box, centre, voxels_per_step, axes=None)
    step = card.preprocessing.spacing or 1.0
    volume = box.size * step**3 / 1000
    moved = float(np.linalg.norm(np.linalg.solve(voxels_per_step, centre - start)) * step)
    largest = min(parts.volumes[1] for parts in card.expected_parts) if card.expected_parts else 1e9

    reason = reason_to_refuse(box, moved, volume, largest)
    if reason:
        return FoundStructure(start, None, (Doubt(f"{name}: not given, as {reason}"),))
    return FoundStructure(centre, box, warnings_of_box(name, box, card))


def warnings_of_box(name: str, box: Box, card: ModelCard) -> tuple[str, ...]:
    """Return a warning if the pixels of a box are unlike those that the network learnt."""
    unlike = distribution_warning(View(MedicalImage(box.pixels, "ZYX")), card)
    if unlike:
        return (f"{name}: {unlike}",)
    return ()


def place_boxes(stack: Stack, entry: Localise) -> BoxPlacement:
    """Find the positions of the structures of a card's entry in a (Z, Y, X) stack.

    Raises ModelError if SimpleITK is missing.
    """
    image = read_image(TEMPLATES / entry.template)
    template = to_stack(image)

    registration, warnings = register_head(Pairs.of(template, stack))
    placement = registration.placement

    smallest, largest = USUAL_SCALES
    refusal = ""
    if not smallest <= registration.scale <= largest:
        refusal = (
            f"the head is {registration.scale:.2f} times as large as an adult's, which alone were "
            "learnt. Is the size of its voxels right?"
        )

    # The rotation nearest to the affine matrix, so that boxes are neither stretched nor sheared.
    left, _, right = np.linalg.svd(placement.matrix)
    rotation = left @ right

    centres = placement.apply(template_positions(image, entry))

    # From (x, y, z) in mm to (z, y, x) in voxels.
    return BoxPlacement(
        centres=list(centres[:, ::-1] / stack.spacing),
        directions=rotation[::-1, ::-1],
        warnings=warnings,
        refusal=refusal,
    )


def register_head(pairs: Pairs) -> tuple[Registration, tuple[str, ...]]:
    """Register in the header's orientation, and in all others if that one fits badly.

    Returns the registration and warnings.
    """
    warnings: list[str] = []

    best = register(pairs, [np.eye(3)])
    if best.information_inside < CLEAR_INFORMATION:
        turned = register(pairs, right_angle_rotations())
        if turned.information > CLEARLY_BETTER * best.information:
            best = turned
            warnings.append(
                "the head lies otherwise than its file says: found all the same, but left and "
                "right may be swapped"
            )

    if best.information_inside < LEAST_INFORMATION:
        text = (
            "hardly like a head (mutual information with the template "
            f"{best.information_inside:.2f}, usually above {LEAST_INFORMATION})"
        )
        warnings.append(Doubt(text))
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
