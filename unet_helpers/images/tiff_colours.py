"""Values of a TIFF's pixels: colours or channels, white as 0, palettes, and orientation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .axes import StoredPixels

if TYPE_CHECKING:
    import tifffile

# Photometric interpretations whose samples are colours.
COLOUR_PHOTOMETRICS = ("RGB", "YCBCR", "PALETTE", "CIELAB", "SEPARATED")

# The number of inks of a picture for a printer (photometric SEPARATED, TIFF 6.0, page 70).
INKS = 4

# Kinds of extra samples that are alpha. A file with alpha is in colour, or grey with alpha.
ALPHA_SAMPLES = ("ASSOCALPHA", "UNASSALPHA")

# Values of the tag Orientation (TIFF 6.0, tag 274) by what turns the image upright: to exchange
# rows and columns, then to reverse the order of the rows, then that of the columns.
TRANSPOSED = (5, 6, 7, 8)
ROWS_FLIPPED = (3, 4, 7, 8)
COLUMNS_FLIPPED = (2, 3, 6, 7)

# A palette is a lookup table, which only displays measured values in colours, if this share of its
# neighbouring colours differs by no more than this in red, green and blue, of 255. In tables of
# ImageJ and matplotlib it is 1.0, in palettes that median cut chose for 7 photographs at most 0.8.
SMOOTH_STEP = 8
SMOOTH_SHARE = 0.9

# Of 255: such a table gets lighter (or darker) throughout, if no step goes further the other way.
# ImageJ's tables need not.
BACKWARD_STEP = 3

# Weights of red, green and blue in grey: the luma of ITU-R BT.601.
LUMA = np.array([0.299, 0.587, 0.114])


def samples_are_colours(page: tifffile.TiffPage) -> bool:
    """Return whether samples are colours: by the photometric, alpha, or three 8-bit samples."""
    if photometric_of(page) in COLOUR_PHOTOMETRICS:
        return True
    extra_samples = [getattr(extra, "name", "") for extra in page.extrasamples or ()]
    if any(name in ALPHA_SAMPLES for name in extra_samples):
        return True
    return page.dtype == np.uint8 and page.samplesperpixel == 3


def photometric_of(page: tifffile.TiffPage) -> str:
    """Return the name of the photometric interpretation; '' if it is not in the standard."""
    return getattr(page.photometric, "name", "")


def as_measured(stored: StoredPixels, page: tifffile.TiffPage, by_imagej: bool) -> StoredPixels:
    """Turn stored values to those that were measured or are displayed, and the image upright."""
    photometric = photometric_of(page)
    if photometric == "MINISWHITE" and by_imagej:
        # ImageJ writes so if an inverting lookup table displays the image; values are not changed.
        words = "ImageJ displays it inverted by a lookup table; the stored values are used"
        stored = replace(stored, notes=(*stored.notes, words))
    elif photometric == "MINISWHITE":
        stored = with_black_as_zero(stored, page)
    elif photometric == "SEPARATED" and stored.axes.endswith("S"):
        stored = from_inks(stored, page)
    elif photometric == "PALETTE" and page.colormap is not None:
        stored = with_palette(stored, page.colormap, by_imagej)
    return turned_upright(stored, page.tags.valueof("Orientation", 1))


def with_black_as_zero(stored: StoredPixels, page: tifffile.TiffPage) -> StoredPixels:
    """Invert booleans and unsigned integers of a file that stores white as 0."""
    pixels = stored.pixels
    if pixels.dtype.kind not in "bu":
        return stored
    white = pixels.dtype.type(2**page.bitspersample - 1)
    notes = (*stored.notes, "inverted: the file stores white as 0")
    return replace(stored, pixels=pixels ^ white, notes=notes)


def from_inks(stored: StoredPixels, page: tifffile.TiffPage) -> StoredPixels:
    """Turn cyan, magenta, yellow and black ink, the last axis, into red, green and blue."""
    if stored.pixels.dtype.kind != "u" or stored.pixels.shape[-1] < INKS:
        return stored
    # Reckoned as floats: the product of two values of 16 bits needs 32.
    white = float(2**page.bitspersample - 1)
    inks = stored.pixels[..., :INKS] / white
    light = white * (1 - inks[..., :3]) * (1 - inks[..., 3:])
    pixels = (light + 0.5).astype(stored.pixels.dtype)
    notes = (*stored.notes, "converted from CMYK to RGB")
    return replace(stored, pixels=pixels, notes=notes)


def with_palette(stored: StoredPixels, colours: np.ndarray, by_imagej: bool) -> StoredPixels:
    """Keep the values that a lookup table displays; replace indices by a picture's colours.

    ``colours`` is (3, N) uint16. Colours become 8-bit samples along a last axis.
    """
    # The palette has 16 bits per colour, of which the upper 8 are used.
    palette = (colours.T >> 8).astype(np.uint8)
    if is_lookup_table(palette, by_imagej):
        words = "a lookup table displays it in colours; the stored values are used"
        return replace(stored, in_colour=False, notes=(*stored.notes, words))
    return replace(
        stored,
        pixels=looked_up(stored.pixels, palette),
        axes=stored.axes + "S",
        in_colour=True,
        notes=(*stored.notes, "expanded the colour palette"),
    )


def is_lookup_table(palette: np.ndarray, by_imagej: bool) -> bool:
    """Return whether (N, 3) colours are a smooth table, of ImageJ or from dark to light or back."""
    steps = np.diff(palette.astype(int), axis=0)
    is_smooth = (np.abs(steps).max(axis=1) <= SMOOTH_STEP).mean() >= SMOOTH_SHARE
    if by_imagej or not is_smooth:
        return bool(is_smooth)
    steps_of_light = steps @ LUMA
    gets_lighter = steps_of_light.min() >= -BACKWARD_STEP
    gets_darker = steps_of_light.max() <= BACKWARD_STEP
    return bool(gets_lighter or gets_darker)


def looked_up(pixels: Any, palette: np.ndarray) -> Any:
    """Replace indices (...) by colours (..., 3), also in a dask array."""
    if isinstance(pixels, np.ndarray):
        return palette[pixels]
    return pixels.map_blocks(
        lambda block: palette[block],
        dtype=palette.dtype,
        chunks=(*pixels.chunks, (palette.shape[1],)),
        new_axis=pixels.ndim,
    )


def turned_upright(stored: StoredPixels, orientation: int) -> StoredPixels:
    """Turn the image upright by the value of the tag Orientation; 1 is upright already."""
    if orientation not in range(2, 9) or "YX" not in stored.axes:
        return stored
    pixels = stored.pixels
    spacing = dict(stored.spacing)
    rows = stored.axes.index("Y")
    columns = stored.axes.index("X")

    if orientation in TRANSPOSED:
        pixels = pixels.swapaxes(rows, columns)
        swapped = {"Y": "X", "X": "Y", "Z": "Z"}
        spacing = {swapped[axis]: step for axis, step in spacing.items()}
    if orientation in ROWS_FLIPPED:
        pixels = np.flip(pixels, rows)
    if orientation in COLUMNS_FLIPPED:
        pixels = np.flip(pixels, columns)

    notes = (*stored.notes, "turned as the file's orientation says")
    return replace(stored, pixels=pixels, spacing=spacing, notes=notes)
