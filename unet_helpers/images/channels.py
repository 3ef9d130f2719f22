"""Channels of an image: colours that hold nothing, one colour, one channel by index or name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import ImageError
from .image import MedicalImage, noted
from .pixel_checks import CHECKED_VALUES, evenly_spread

COLOURS = ("red", "green", "blue")

# An image of one dye has a dark ground: its median is less than this share of its maximum.
DARK_GROUND = 0.25

# A colour whose range is below this share of the strongest colour's is faint. With the next two
# limits none of 500 photographs is taken for an image of one dye.
FAINT = 0.35

# A weaker colour that correlates this much with the strongest one is of the same hue, ...
ONE_HUE = 0.985

# ... if its range is below this share of the strongest colour's: else the picture is grey, not
# dyed.
WEAKER = 0.9

# What people call channels of nuclei.
NUCLEAR_DYES = ("dapi", "hoechst", "draq", "nucle", "h2b")

# How much more the neighbouring pixels of another channel must correlate for a hint to be worth it.
CLEARLY_MORE = 0.3


def drop_idle_channels(image: MedicalImage) -> MedicalImage:
    """Drop alpha; make grey of colours where all light is of one hue, as of one dye."""
    if image.channels == 1:
        return image
    image = grey_if_one_hue(without_alpha(image))
    return replace(image, pixels=np.ascontiguousarray(image.pixels))


def without_alpha(image: MedicalImage) -> MedicalImage:
    """Drop the last of two or four channels, and say how much it hid."""
    if image.channels not in (2, 4):
        return image
    alpha = image.pixels[..., -1]
    hidden = np.count_nonzero(alpha != alpha.max()) / alpha.size

    words = "dropped the alpha channel"
    if hidden:
        words += f" (it hid {hidden:.0%} of the pixels)"
    colours = image.pixels[..., :-1]
    if colours.shape[-1] == 1:
        return noted(image, words, pixels=colours[..., 0], axes=image.axes[:-1])
    return noted(image, words, pixels=colours)


def grey_if_one_hue(image: MedicalImage) -> MedicalImage:
    """Take the strongest of three colours as grey where the others only follow it."""
    if image.channels != 3:
        return image
    strongest = colour_of_one_dye(image.pixels.reshape(-1, 3))
    if strongest is None:
        return image
    return noted(
        image,
        f"nearly all light is of one hue, strongest in {COLOURS[strongest]}: that is read as grey",
        pixels=image.pixels[..., strongest],
        axes=image.axes[:-1],
    )


def colour_of_one_dye(values: np.ndarray) -> int | None:
    """Find which of (N, 3) colours holds the light of a single dye; None where there are several.

    Colours that are constant hold nothing. On a dark ground others may be faint, or follow the
    strongest one.
    """
    live = np.flatnonzero(np.ptp(values, axis=0))
    sample = np.nan_to_num(evenly_spread(values, CHECKED_VALUES)).astype(np.float32)
    has_dark_ground = np.median(sample.max(1)) < DARK_GROUND * sample.max()

    if len(live) > 1 and has_dark_ground:
        low, high = np.percentile(sample, [0.1, 99.9], axis=0)
        ranges = high - low
        strongest = ranges.max()
        correlations = np.corrcoef(sample[:, live].T)[ranges[live].argmax()]

        is_faint = ranges[live] < FAINT * strongest
        is_weaker = ranges[live] < WEAKER * strongest
        follows = is_weaker & (np.abs(correlations) > ONE_HUE)
        live = live[~(is_faint | follows)]

    if len(live) != 1:
        return None
    return int(live[0])


def colour_alone(image: MedicalImage, channel: int | str) -> MedicalImage:
    """Take red, green or blue alone, by its name or index."""
    wanted = str(channel).lower()
    choices = {"0": 0, "1": 1, "2": 2, "red": 0, "green": 1, "blue": 2}
    if image.channels < len(COLOURS) or wanted not in choices:
        raise ImageError(
            f"{image.path}: there is no channel {channel!r} to choose; "
            "of colours, red, green or blue."
        )
    index = choices[wanted]
    words = f"took {COLOURS[index]} alone"
    return noted(image, words, pixels=image.pixels[..., index], axes=image.axes[:-1])


def channel_index(channel: int | str | None, count: int, names: Sequence[str], path: Path) -> int:
    """Find a channel by its index, its name or the beginning of one name.

    Where none is asked for, it is that of a nuclear dye, or the first.
    """
    lowered = [name.lower() for name in names[:count]]
    if channel is None:
        return nuclear_channel(lowered)

    wanted = str(channel).lower()
    if wanted in map(str, range(count)):
        return int(wanted)
    if wanted in lowered:
        return lowered.index(wanted)
    beginning = {name for name in lowered if name.startswith(wanted)}
    if len(beginning) == 1:
        return lowered.index(beginning.pop())

    listed = ", ".join(names[:count]) or f"0 to {count - 1}, without names"
    raise ImageError(f"{path}: has no channel {channel!r}; its channels are {listed}.")


def nuclear_channel(lowered_names: Sequence[str]) -> int:
    """Find the index of the first name of a nuclear dye, else 0."""
    for index, name in enumerate(lowered_names):
        if any(dye in name for dye in NUCLEAR_DYES):
            return index
    return 0


def channel_notes(pixels: np.ndarray, index: int, names: Sequence[str], *, hint: bool) -> list[str]:
    """Say which of (C, ..., Y, X) channels was taken.

    With ``hint`` also whether another one has clearly more structure.
    """
    titles = [f"{i} ({names[i]})" if i < len(names) else str(i) for i in range(len(pixels))]
    listed = ", ".join(titles)
    notes = [f"took channel {titles[index]} of {listed}; choose another one with channel="]

    if hint:
        structures = [structure(channel) for channel in pixels]
        best = int(np.argmax(structures))
        if structures[best] > structures[index] + CLEARLY_MORE:
            notes.append(f"channel {titles[best]} has clearly more structure than the one taken")
    return notes


def structure(pixels: np.ndarray) -> float:
    """Correlate neighbouring pixels of the middle plane: about 0 of noise, about 1 of an image."""
    planes = pixels.reshape(-1, *pixels.shape[-2:])
    plane = np.nan_to_num(planes[len(planes) // 2]).astype(float)
    left = plane[:, :-1].ravel()
    right = plane[:, 1:].ravel()

    varies = left.size > 2 and left.std() > 0 and right.std() > 0
    if not varies:
        return 0.0
    return float(np.corrcoef(left, right)[0, 1])
