"""Whether what was found can be: the number of its parts and their volumes.

A card states what every image of its kind shows (see ``ExpectedParts`` in networks/anatomy.py). An
answer with other parts is implausible: the warnings say so first, and the table of measurements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import scipy

from ..doubt import Doubt
from ..images.stack import as_displayed, to_stack
from ..networks.anatomy import ExpectedParts
from .chest import doubt_about_sides
from .labels import foreground_of
from .occupied import occupied_box

if TYPE_CHECKING:
    from .segmentation import Segmentation

# px: parts are counted in every n-th pixel, so that the longer side has at most about this many.
# The network saw no more (256 x 256), and a film has millions of pixels.
SIDE_OF_COUNTED = 512

# Standard deviations of the two Gaussian filters whose difference is the texture of a part, as
# shares of the image's longer side: ribs and vessels, but not the grain of a film. The part with
# less of it has at least 0.72 times that of the other in 113 films of two lungs; filled with one
# grey and grain of 3 to 10 greys it has at most 0.24 times (before, by the differences of
# neighbouring pixels, 0.45 to 1.0 times).
TEXTURE_SIGMAS = (3 / 512, 8 / 512)

# A warning is given if the volume of the smallest side / that of the largest is below this.
LEAST_SHARE_OF_VOLUME = 0.5

# Numbers up to six in words.
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Finding:
    """Something unusual about the parts that were found."""

    text: str  # a `Doubt` if the answer is implausible
    side: str = ""  # the localised structure that it is about; '' for all that was found


def findings_on_parts(result: Segmentation) -> list[Finding]:
    """Return what is unusual about the parts of a ``Segmentation``."""
    findings: list[Finding] = []
    for expected in result.card.expected_parts:
        if expected.count:
            findings += findings_on_count(result, expected)
        elif expected.most:
            findings += findings_on_scatter(result, expected)
        else:
            findings += findings_on_volumes(result, expected)

    if result.card.measures == "chest":
        doubt = doubt_about_sides(result)
        if doubt:
            findings.append(Finding(Doubt(doubt)))
    return findings


def findings_on_count(result: Segmentation, expected: ExpectedParts) -> list[Finding]:
    """Return a finding for each slice that shows another number of parts, but not none."""
    probabilities = [
        as_displayed(result.image, probability)
        for probability in probabilities_to_count(result, expected.classes)
    ]
    slices = to_stack(result.image).pixels

    findings = []
    for index, pixels in enumerate(slices):
        counts = [
            count_parts(pixels, probability[index], result.threshold, expected)
            for probability in probabilities
        ]
        nothing_of_these = all(count is None for count in counts)
        if nothing_of_these and is_empty_slice(result, index):
            continue
        count = sum(count or 0 for count in counts)
        if count == expected.count:
            continue

        where = f"slice {index}: " if len(slices) > 1 else ""
        found = number_of(count, expected.name, none_of_one=expected.count == 1)
        usual = number_of(expected.count, expected.name)
        verb = "is" if expected.count == 1 else "are"
        text = f"implausible: {where}{found} found, where {usual} {verb} usual"
        findings.append(Finding(Doubt(text)))
    return findings


def is_empty_slice(result: Segmentation, index: int) -> bool:
    """Return whether nothing was found in a displayed slice, of any class."""
    return not as_displayed(result.image, result.labels)[index].any()


def probabilities_to_count(result: Segmentation, classes: tuple[str, ...]) -> list[np.ndarray]:
    """Return the probabilities (*spatial) whose parts are counted, of classes, or all if none.

    Of classes that exclude each other it is one: that of any of them. Classes that overlap are
    counted one by one, because parts of two of them that touch are two parts.
    """
    card = result.card
    if card.overlapping:
        chosen = [card.classes.index(name) for name in classes or card.classes]
        return [result.probabilities[channel] for channel in chosen]

    if not classes or len(result.probabilities) == 1:
        return [foreground_of(result.probabilities)]
    channels = [1 + card.classes.index(name) for name in classes]
    return [result.probabilities[channels].sum(axis=0)]


def count_parts(
    pixels: np.ndarray, probability: np.ndarray, threshold: float, expected: ExpectedParts
) -> int | None:
    """Count the connected parts in a slice that are large enough and not blank; None if empty.

    ``pixels`` are (Y, X) or (Y, X, C), ``probability`` (Y, X).
    """
    step = max(1, max(probability.shape) // SIDE_OF_COUNTED)
    mask = (probability[::step, ::step] >= threshold).astype(np.uint8)
    count, ids, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count == 1:
        return None

    areas = statistics[:, cv2.CC_STAT_AREA]
    areas[0] = 0  # the background
    large = np.flatnonzero(areas >= max(1, expected.least_share * areas.max()))

    grey = pixels[::step, ::step].astype(np.float32)
    if grey.ndim == 3:
        grey = grey.mean(axis=2)
    texture = texture_of(grey)
    textures = np.array([np.median(texture[ids == number]) for number in large])
    is_blank = textures < expected.least_texture * textures.max()
    return int(np.count_nonzero(~is_blank))


def texture_of(grey: np.ndarray) -> np.ndarray:
    """Return (H, W) how much greys (H, W) differ locally, without their grain."""
    fine, coarse = (
        cv2.GaussianBlur(grey, (0, 0), share * max(grey.shape)) for share in TEXTURE_SIGMAS
    )
    return np.abs(fine - coarse)


def number_of(count: int, name: str, none_of_one: bool = False) -> str:
    """Return 'one lung' or 'two lungs'; 'no heart' with ``none_of_one``, else 'no lungs'."""
    number = NUMBERS[count] if count < len(NUMBERS) else str(count)
    is_singular = count == 1 or (count == 0 and none_of_one)
    return f"{number} {name}" if is_singular else f"{number} {name}s"


def findings_on_scatter(result: Segmentation, expected: ExpectedParts) -> list[Finding]:
    """Return a finding if an image, or a point in time, shows more separate parts than is usual."""
    findings = []
    for frame in frames_as_displayed(result):
        volumes = components_of(frame, result, expected.classes, 1.0).volumes
        is_counted = volumes >= expected.least_share * volumes.max(initial=0.0)
        count = int(np.count_nonzero(is_counted))
        if count <= expected.most:
            continue
        found = number_of(count, expected.name)
        usual = number_of(expected.most, expected.name)
        text = f"implausible: {found} found, where at most {usual} are usual: of another kind?"
        findings.append(Finding(Doubt(f"{text} {result.card.limits}".rstrip())))
    return findings


def findings_on_volumes(result: Segmentation, expected: ExpectedParts) -> list[Finding]:
    """Return findings on volumes that are too small, too large, or too different between sides."""
    voxel_volume = result.image.voxel_volume
    if voxel_volume is None:
        return []

    smallest, largest = expected.volumes
    findings = []
    for frame in frames_as_displayed(result):
        components = components_of(frame, result, expected.classes, voxel_volume / 1000)
        by_side = [components]
        if result.places:
            by_side = [components.on(side) for side in result.places]
            findings += findings_on_sides(by_side)

        for found in by_side:
            # A crop may hold both sides, or a few pieces of one.
            if found.largest > largest:
                volume = found.largest
            elif 0 < found.total < smallest:
                volume = found.total
            else:
                continue

            text = (
                f"implausible: {found.side or expected.name} {volume:.2f} mL, where "
                f"{smallest:g} to {largest:g} mL are usual"
            )
            findings.append(Finding(Doubt(text), found.side))
    return findings


def frames_as_displayed(result: Segmentation) -> list[np.ndarray]:
    """Return the labels (Z, Y, X) of each point in time, as displayed."""
    labels = as_displayed(result.image, result.labels)
    if not result.image.axes.startswith("T"):
        return [labels]
    return np.split(labels, len(result.image.pixels))


@dataclass(frozen=True, eq=False)
class Components:
    """Connected components, and the localised structure to which each belongs."""

    volumes: np.ndarray  # (N,) mL
    sides: np.ndarray  # (N,) names; '' where nothing was localised
    side: str = ""  # the only one of these components; '' if not chosen

    def on(self, side: str) -> Components:
        """Return the components of one localised structure."""
        return Components(self.volumes[self.sides == side], self.sides[self.sides == side], side)

    @property
    def total(self) -> float:
        """The volume of all, in mL."""
        return float(self.volumes.sum())

    @property
    def largest(self) -> float:
        """The volume of the largest one, in mL; 0 if there is none."""
        return float(self.volumes.max(initial=0.0))


def components_of(
    labels: np.ndarray, result: Segmentation, classes: tuple[str, ...], voxel_volume: float
) -> Components:
    """Return the components of the classes in displayed labels (Z, Y, X); all if none are named.

    ``voxel_volume`` is in mL.
    """
    box = occupied_box(labels)
    wanted = [1 + result.card.classes.index(name) for name in classes or result.card.classes]
    touching = np.ones((3, 3, 3))  # also across edges and corners
    ids, count = scipy.ndimage.label(np.isin(labels[box], wanted), touching)
    if not count:
        return Components(volumes=np.zeros(0), sides=np.zeros(0, str))

    start = np.array([part.start for part in box])
    middles = start + [np.argwhere(ids == number).mean(axis=0) for number in range(1, count + 1)]
    volumes = np.bincount(ids.ravel())[1:] * voxel_volume
    return Components(volumes=volumes, sides=nearest_places(result, middles))


def nearest_places(result: Segmentation, middles: np.ndarray) -> np.ndarray:
    """Return (N,): the name of the localised structure nearest to each voxel (N, 3) as displayed.

    '' if nothing was localised.
    """
    if not result.places:
        return np.full(len(middles), "")

    spacing = np.array(to_stack(result.image).spacing or 1.0)
    places = np.array(list(result.places.values())) * spacing
    distances = np.linalg.norm((middles * spacing)[:, None] - places, axis=2)
    return np.array(list(result.places))[distances.argmin(axis=1)]


def findings_on_sides(sides: list[Components]) -> list[Finding]:
    """Return a finding if the volumes of paired structures differ much."""
    volumes = [found.total for found in sides]
    if min(volumes) >= LEAST_SHARE_OF_VOLUME * max(volumes):
        return []
    sizes = ", ".join(f"{found.side} {found.total:.2f} mL" for found in sides)
    return [Finding(f"very unequal ({sizes}): look whether all of it was found")]
