"""Channels of an image: drop those without information, choose one by index or name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import ImageError
from .image import MedicalImage, noted
from .pixel_checks import CHECKED_VALUES, evenly_spread

COLOURS = ("red", "green", "blue")

# The limits of an image of a single fluorescent dye, displayed in a colour. With these four limits
# none of 500 photographs is mistaken for such an image.

# The background is dark if the median brightness is below this share of the maximum.
DARK_BACKGROUND_SHARE = 0.25

# A colour is faint if its range is below this share of the strongest colour's range.
FAINT_SHARE = 0.35

# Another colour has the same hue as the strongest one if their correlation is above the first
# number, and its range is below the second, a share of the strongest colour's range. Colours with
# equal ranges form a grey picture, not a dyed one.
SAME_HUE_CORRELATION = 0.985
SAME_HUE_SHARE = 0.9

# Parts of the names that people give to channels of nuclei, in lower case.
NUCLEAR_DYES = ("dapi", "hoechst", "draq", "nucle", "h2b")

# A note hints at another channel if the correlation between its neighbouring pixels is higher by
# more than this.
MORE_STRUCTURE = 0.3


def drop_idle_channels(image: MedicalImage) -> MedicalImage:
    """Drop alpha; reduce colours to grey if all light has one hue, as in an image of one dye."""
    if image.channels == 1:
        return image
    image = grey_if_one_hue(without_alpha(image))
    return replace(image, pixels=np.ascontiguousarray(image.pixels))


def without_alpha(image: MedicalImage) -> MedicalImage:
    """Drop the last of two or four channels; a note says which share of the pixels it hid."""
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
    """Take the strongest of three colours as grey if the others add no information."""
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
    """Return the index of the only informative column of (N, 3) colours; None if there are several.

    A constant colour has no information. On a dark background, neither has a faint colour, nor one
    with the same hue as the strongest.
    """
    informative = np.flatnonzero(np.ptp(values, axis=0))
    sample = np.nan_to_num(evenly_spread(values, CHECKED_VALUES)).astype(np.float32)
    has_dark_background = np.median(sample.max(1)) < DARK_BACKGROUND_SHARE * sample.max()

    if len(informative) > 1 and has_dark_background:
        low, high = np.percentile(sample, [0.1, 99.9], axis=0)
        ranges = high - low
        strongest = ranges.max()
        # With the strongest colour.
        correlations = np.corrcoef(sample[:, informative].T)[ranges[informative].argmax()]

        is_faint = ranges[informative] < FAINT_SHARE * strongest
        is_weaker = ranges[informative] < SAME_HUE_SHARE * strongest
        has_same_hue = is_weaker & (np.abs(correlations) > SAME_HUE_CORRELATION)
        informative = informative[~(is_faint | has_same_hue)]

    if len(informative) != 1:
        return None
    return int(informative[0])


def colour_alone(image: MedicalImage, channel: int | str) -> MedicalImage:
    """Take only red, green or blue, by its name or index."""
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
    """Find a channel by its index, its name or the beginning of its name, if only one begins so.

    If ``channel`` is None, it is the first one of a nuclear dye, else channel 0.
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
    """Return the index of the first name that contains a nuclear dye, else 0."""
    for index, name in enumerate(lowered_names):
        if any(dye in name for dye in NUCLEAR_DYES):
            return index
    return 0


def channel_notes(pixels: np.ndarray, index: int, names: Sequence[str], *, hint: bool) -> list[str]:
    """Write a note that says which of (C, ..., Y, X) channels was taken.

    With ``hint``, a second note follows if another channel has clearly more structure.
    """
    titles = [f"{i} ({names[i]})" if i < len(names) else str(i) for i in range(len(pixels))]
    listed = ", ".join(titles)
    notes = [f"took channel {titles[index]} of {listed}; choose another one with channel="]

    if hint:
        structures = [structure(channel) for channel in pixels]
        best = int(np.argmax(structures))
        if structures[best] > structures[index] + MORE_STRUCTURE:
            notes.append(f"channel {titles[best]} has clearly more structure than the one taken")
    return notes


def structure(pixels: np.ndarray) -> float:
    """Correlate horizontal neighbours in the middle plane: about 0 for noise, 1 for an image."""
    planes = pixels.reshape(-1, *pixels.shape[-2:])
    plane = np.nan_to_num(planes[len(planes) // 2]).astype(float)
    left = plane[:, :-1].ravel()
    right = plane[:, 1:].ravel()

    varies = left.size > 2 and left.std() > 0 and right.std() > 0
    if not varies:
        return 0.0
    return float(np.corrcoef(left, right)[0, 1])
