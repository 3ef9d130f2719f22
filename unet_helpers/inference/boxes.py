"""A box around a structure in a larger image: what the network finds in it, and whether it can be.

The network knows crops around a structure only. In a box that does not hold the structure, because
it was resected, or because the box lies wrong, it still finds something. `reason_to_refuse` tells
such answers by signs that were measured in two of the T1-like heads of tests/benchmarks/heads.py, 3
and 5: whole, in slabs, halves and crops, shrunk, and with a hippocampus replaced by fluid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

from ..images.stack import Stack
from ..networks.cards import ModelCard
from ..preprocessing.resample import Grid
from ..results.labels import foreground_of

# Voxels connected to a structure belong to it if their probability is at least this share of the
# card's threshold.
CONNECTED_SHARE = 0.2

# Percentiles of a box's pixels that are dark and bright tissue: fluid and white matter.
DARK_AND_BRIGHT = (2, 90)

# A structure as dark as fluid: (its median grey - dark) / (bright - dark) is below this. Measured:
# 0.55 to 0.63 in hippocampi, at most 0.18 in cavities and in air.
LEAST_BRIGHTNESS = 0.35

# The mean probability inside a structure. Measured: 0.80 to 0.92 in hippocampi (0.76 in slices of
# 5 mm), at most 0.73 in boxes that lie beside them, if no other sign tells.
LEAST_CERTAINTY = 0.75

# The share of a structure's voxels that lie on the border of its box. Measured: at most 0.005.
MOST_ON_BORDER = 0.01

# The share of a box that lies in the image. Measured: 0.76 to 1 around hippocampi that are whole in
# the image, at most 0.60 around others.
LEAST_INSIDE = 0.65

# mm from where the registration expects a structure to where it is found. Measured: at most 18.
FARTHEST = 25.0

# A structure is not given if its volume is above (the largest plausible one) * this.
CANNOT_BE = 1.5

# A function of (pixels, axes) that returns the probabilities (K, z, y, x) for the pixels (z, y, x)
# of a box, averaged over the axes along which it is sliced; None: the card's axes.
PredictBox = Callable[[np.ndarray, tuple[int, ...] | None], np.ndarray]


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

    @cached_property
    def size(self) -> int:
        """The number of voxels of the structure."""
        return int(np.count_nonzero(self.structure))

    @property
    def certainty(self) -> float:
        """The mean probability of foreground inside the structure; 0 if there is none."""
        if not self.size:
            return 0.0
        return float(foreground_of(self.answer)[self.structure].mean())

    @property
    def brightness(self) -> float:
        """The structure's median grey, where fluid is 0 and white matter 1; 0 if there is none."""
        dark, bright = np.percentile(self.pixels, DARK_AND_BRIGHT)
        if not self.size or bright <= dark:
            return 0.0
        return float((np.median(self.pixels[self.structure]) - dark) / (bright - dark))

    @property
    def share_on_border(self) -> float:
        """The share of the structure's voxels that lie on the border of the box."""
        if not self.size:
            return 0.0
        inner = np.count_nonzero(self.structure[1:-1, 1:-1, 1:-1])
        return 1 - inner / self.size


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
    if card.has_background:
        difference[0] -= 1.0
    return difference * whole


def reason_to_refuse(box: Box, moved: float, volume: float, largest: float) -> str:
    """Return why the structure in a box is not what is searched for; '' if it may be.

    ``moved``: mm from where the registration expects it. ``volume`` of it and ``largest`` plausible
    one: in mL.
    """
    if not box.size:
        return "the network finds nothing"
    if box.brightness < LEAST_BRIGHTNESS:
        return "what the network finds there is as dark as fluid: a resection, or not this tissue?"
    if volume > CANNOT_BE * largest:
        return f"{volume:.1f} mL that the network finds are implausible"
    if box.share_on_border > MOST_ON_BORDER:
        return "what the network finds has no border"
    if box.certainty < LEAST_CERTAINTY:
        return f"the network is not sure (mean probability {box.certainty:.2f})"
    if moved > FARTHEST:
        return f"what the network finds lies {moved:.0f} mm from where the template has it"
    return ""
