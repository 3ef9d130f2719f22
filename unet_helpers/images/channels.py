"""Channels of an image: drop those without information, choose one by index or name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ImageError
from .contrast_methods import channel_for
from .image import MedicalImage, noted
from .nuclear_stains import Channel, nuclear_channel
from .options import listing, titles
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
    """Take only red, green or blue, by its name or index; of a grey image, channel 0 is all."""
    wanted = str(channel).lower()
    if image.channels == 1 and wanted == "0":
        return image
    choices = {"0": 0, "1": 1, "2": 2, "red": 0, "green": 1, "blue": 2}
    if image.channels < len(COLOURS) or wanted not in choices:
        raise ImageError(
            f"{image.path or 'The array'}: there is no channel {channel!r} to choose; "
            "of colours, red, green or blue, with channel=."
        )
    index = choices[wanted]
    words = f"took {COLOURS[index]} alone"
    return noted(image, words, pixels=image.pixels[..., index], axes=image.axes[:-1])


def channel_index(
    channel: int | str | None, count: int, channels: Sequence[Channel], path: Path | str
) -> int:
    """Find a channel by its index, its name or the beginning of its name, if only one begins so.

    If ``channel`` is None, it is the one of a nuclear stain, else channel 0.
    """
    if channel is None:
        return nuclear_channel(channels[:count])

    names = [known.name for known in channels[:count]]
    lowered = [name.lower() for name in names]
    wanted = str(channel).lower()
    if wanted in map(str, range(count)):
        return int(wanted)
    if wanted in lowered:
        return lowered.index(wanted)
    beginning = {name for name in lowered if wanted and name.startswith(wanted)}
    if len(beginning) == 1:
        return lowered.index(beginning.pop())

    listed = listing(names) if any(names) else f"0 to {count - 1}, without names"
    raise ImageError(
        f"{path}: has no channel {channel!r}; its channels are {listed}; choose one with channel=."
    )


def channel_notes(
    pixels: Any, index: int, channels: Sequence[Channel], *, asked: bool
) -> list[str]:
    """Write a note that says which of (C, ..., Y, X) channels was taken.

    If it was not asked for, a second note follows where another channel has clearly more structure.
    """
    names = [known.name for known in channels] if len(channels) == len(pixels) else []
    words = titles(names or [""] * len(pixels))
    notes = [f"took channel {words[index]} of {listing(words)}; choose another one with channel="]

    # Pixels that are still on disk are not read for the sake of a note.
    if not asked and isinstance(pixels, np.ndarray):
        structures = [structure(channel) for channel in pixels]
        best = int(np.argmax(structures))
        if structures[best] > structures[index] + MORE_STRUCTURE:
            notes.append(f"channel {words[best]} has clearly more structure than the one taken")
    return notes


def with_channel_for(image: MedicalImage, modality: str) -> MedicalImage:
    """Take the channel that a network of a modality reads, unless one was asked for.

    ``modality`` is that of the network's card. A note names the channel and replaces those about
    the channel that the reader took.
    """
    taken = image.channel_index
    if taken is None or image.all_channels is None or image.channel_asked:
        return image
    index = channel_for(modality, image.channel_contrasts, taken)
    if index == taken:
        return image

    channels = [Channel(name) for name in image.channel_names]
    before = channel_notes(image.all_channels, taken, channels, asked=False)
    words = titles(image.channel_names)
    note = (
        f"took channel {words[index]} of {listing(words)}, because the network reads {modality}; "
        "choose another one with channel="
    )
    return replace(
        image,
        pixels=image.all_channels[index],
        channel_index=index,
        notes=(*(text for text in image.notes if text not in before), note),
    )


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
