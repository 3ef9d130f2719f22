"""Arrays in memory and in NumPy's files: which axes they have, and how they become images."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import ImageError
from .axes import StoredPixels, arrange
from .image import MedicalImage
from .nuclear_stains import Channel
from .options import ReadOptions, refuse_unknown
from .pixel_checks import MIN_SIDE

# An array's last axis holds colours if it has one of these lengths: RGB, or RGB with alpha.
COLOUR_SAMPLES = (3, 4)

# No picture is this many times longer than wide, so such a last axis holds channels or slices.
LONGEST_TO_SHORTEST = 5

# Options of ``read_image`` that choose a part of an array.
ARRAY = ("channel", "page", "frame", "axes")

# The letters of the axes of an array, and those of a volume in NIfTI's order.
LETTERS = frozenset("TZCYX")
NIFTI_ORDER = "XYZ"

# The axes of a ``MedicalImage``.
IMAGE_AXES = ("YX", "ZYX", "TYX", "TZYX", "YXC", "ZYXC", "TYXC", "TZYXC", NIFTI_ORDER)


def from_array(
    pixels: np.ndarray,
    notes: tuple[str, ...] = (),
    name: str | Path = "The array",
    options: ReadOptions | None = None,
) -> MedicalImage:
    """Make an image of an array, whose axes are given or guessed.

    Guessed are 'YX' or 'ZYX', then 'C' if a third or fourth axis has length 3 or 4. Where an axis
    may be that of channels, it is asked for.
    """
    if options is None:
        options = ReadOptions()
    if pixels.ndim == 3 and pixels.shape[-1] == 1 and options.axes is None:
        pixels = pixels[..., 0]

    axes = options.axes
    if axes is not None:
        axes = checked_axes(axes, pixels, name)
    elif options.channel is not None and has_short_last_axis(pixels):
        axes = "YXC"
    else:
        refuse_if_doubtful(pixels, name)
        axes = guessed_axes(pixels, name)
    if axes == "ZYX" and len(pixels) == 3 and options.axes is None:
        notes = (*notes, "taken as 3 slices: colours would be its last axis")
    if options.channel is not None and "C" not in axes and len(axes) > 2:
        raise ImageError(
            f"{name}: its axes are read as {axes!r}, without channels. "
            "If one of them is that of channels, name it: axes='CYX'."
        )
    refuse_unknown(options, options_of(axes), name)

    image = MedicalImage(pixels, axes, notes=notes)
    if axes in IMAGE_AXES and (not axes.endswith("C") or image.channels in COLOUR_SAMPLES):
        return chosen(image, options, name)
    stored = StoredPixels(pixels, axes, spacing={}, notes=notes)
    return arrange(stored, options, path_of(name))


def options_of(axes: str) -> list[str]:
    """Return the options that choose a part of an array with these axes."""
    known = ["axes"]
    if "C" in axes:
        known.append("channel")
    if "T" in axes:
        known.append("frame")
    if ("T" in axes or "Z" in axes) and axes != NIFTI_ORDER:
        known.append("page")
    return known


def checked_axes(axes: str, pixels: np.ndarray, name: str | Path) -> str:
    """Return the letters of ``axes=``, in capitals; ImageError if they do not fit the array."""
    letters = axes.upper()
    has_plane = {"Y", "X"}.issubset(letters)
    is_valid = has_plane and LETTERS.issuperset(letters) and len(set(letters)) == len(letters)
    if not is_valid or len(letters) != pixels.ndim:
        raise ImageError(
            f"{name}: axes={axes!r} does not fit the shape {pixels.shape}: give a letter for each "
            "axis, of T (time), Z (slices), C (channels), Y (rows) and X (columns)."
        )
    return letters


def has_short_last_axis(pixels: np.ndarray) -> bool:
    """Return whether the last of three axes is too short for the width of a picture."""
    if pixels.ndim != 3 or pixels.shape[-1] in COLOUR_SAMPLES:
        return False
    width = pixels.shape[-1]
    shortest_other = min(pixels.shape[:2])
    is_narrow = width < MIN_SIDE <= shortest_other
    return width > 0 and (is_narrow or width * LONGEST_TO_SHORTEST <= shortest_other)


def refuse_if_doubtful(pixels: np.ndarray, name: str | Path) -> None:
    """Raise ImageError if the last of three axes is probably that of channels or slices."""
    if not has_short_last_axis(pixels):
        return
    count = pixels.shape[-1]
    raise ImageError(
        f"{name} has the shape {pixels.shape}: are the {count} along its last axis channels or "
        f"slices? For channels, give channel=0 to {count - 1}, or axes='YXC'; for slices, "
        "axes='YXZ' (or 'XYZ', as nibabel reads volumes); otherwise axes='ZYX'."
    )


def guessed_axes(pixels: np.ndarray, name: str | Path) -> str:
    """Return 'YX' or 'ZYX', with a last 'C' if a third or fourth axis has the length of colours."""
    is_colour = pixels.ndim > 2 and pixels.shape[-1] in COLOUR_SAMPLES
    spatial_dimensions = pixels.ndim - 1 if is_colour else pixels.ndim
    if spatial_dimensions not in (2, 3):
        shapes = "(H, W), (H, W, 3), (Z, H, W) or (Z, H, W, 3)"
        raise ImageError(
            f"{name} has the shape {pixels.shape}, not that of an image: {shapes}. "
            "Name its axes: axes='TZYX', 'CYX', ..."
        )
    axes = "ZYX"[-spatial_dimensions:]
    return axes + "C" if is_colour else axes


def chosen(image: MedicalImage, options: ReadOptions, name: str | Path) -> MedicalImage:
    """Take the channel, frame or page of an image in memory that is asked for."""
    asked = [option for option in options.given() if option != "axes"]
    if not asked:
        return image
    if image.lies_in_space:
        words = " or ".join(asked)
        raise ImageError(f"{name}: there is no {words} to choose in a volume in memory.")

    is_colour = image.channels > 1
    # Of slices at an unknown distance, the spacing is that of the last two axes.
    steps = dict(zip(reversed(image.spatial_axes), reversed(image.spacing or ())))
    stored = StoredPixels(
        pixels=image.pixels,
        axes=image.spatial_axes + ("S" if is_colour else ""),
        spacing=steps,
        in_colour=is_colour,
    )
    if image.all_channels is not None and options.channel is not None:
        stored = replace(
            stored,
            pixels=image.all_channels,
            axes="C" + image.spatial_axes,
            channels=tuple(map(Channel, image.channel_names)),
        )
    part = arrange(stored, options, path_of(name))
    return replace(
        image,
        pixels=part.pixels,
        axes=part.axes,
        spacing=part.spacing,
        notes=(*image.notes, *part.notes),
        all_channels=part.all_channels,
        channel_names=part.channel_names,
        channel_contrasts=part.channel_contrasts,
        channel_index=part.channel_index,
        channel_asked=part.channel_asked,
    )


def path_of(name: str | Path) -> Path | None:
    """Return the file's path, which errors name; None for 'The array'."""
    return name if isinstance(name, Path) else None
