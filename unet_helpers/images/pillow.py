"""Read PNG, JPEG, JPEG 2000, GIF, BMP and WebP files, and convert Pillow's images."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ImageError
from .channels import colour_alone
from .image import MedicalImage
from .lengths import MILLIMETRES, is_finer_than_print, number_of
from .limits import refuse_if_huge
from .options import ReadOptions, index_of
from .tiff_colours import TRANSPOSED

if TYPE_CHECKING:
    from PIL import Image

PNG_START = b"\x89PNG"

# Positions of the bytes of a PNG's header with the bits per channel and the kind of channels.
PNG_BIT_DEPTH = 24
PNG_COLOUR_TYPE = 25

# Colour types of PNG that are grey: without and with alpha (PNG specification, 11.2.2).
PNG_GREY_TYPES = (0, 4)

# EXIF tag of the camera's orientation; 1 is upright.
EXIF_ORIENTATION = 0x0112

# Pillow's modes whose values are used without conversion; so are those that begin with 'I;16'.
PLAIN_MODES = ("1", "L", "LA", "RGB", "RGBA", "I", "F")


@dataclass(frozen=True)
class PngHeader:
    """Properties of a PNG that Pillow does not report."""

    # Bits per channel: 1, 2, 4, 8 or 16.
    bit_depth: int

    # Whether the pixels are grey, perhaps with alpha; neither colours nor a palette.
    is_grey: bool


def read_raster(path: Path, options: ReadOptions) -> MedicalImage:
    """Read with Pillow; a 16-bit PNG with OpenCV, because Pillow cuts its colours to 8 bits."""
    from PIL import Image

    with warnings.catch_warnings():
        # limits.MAX_VALUES is checked instead.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            opened = Image.open(path)
        except Image.DecompressionBombError as error:
            raise ImageError(f"{path}: {error} Cut or shrink it first.") from error
        with opened as picture:
            image = image_of_file(path, picture, options)

    if options.channel is not None:
        return colour_alone(image, options.channel)
    return image


def image_of_file(path: Path, picture: Image.Image, options: ReadOptions) -> MedicalImage:
    """Decode the frame that was asked for; here the option ``page`` means the same as ``frame``."""
    refuse_if_huge(path, (*picture.size, len(picture.getbands())))
    notes = []

    frames = getattr(picture, "n_frames", 1)
    wanted = options.frame
    if wanted is None:
        wanted = options.page
    elif options.page is not None:
        index_of(path, "page", options.page, count=1)
    index = index_of(path, "frame", wanted, frames)
    if frames > 1:
        notes.append(f"took frame {index} of {frames}; choose another one with frame=")
    picture.seek(index)
    picture.load()

    png = png_header(path)
    if png is not None and png.bit_depth == 16:
        pixels = pixels_of_16_bit_png(path, png)
    else:
        if png is not None and png.is_grey and png.bit_depth in (2, 4):
            notes.append(f"greys of {png.bit_depth} bit spread over 0 to 255")
        pixels, further_notes = pixels_of(picture)
        notes += further_notes
    return image_of_pixels(pixels, notes, path, spacing_of(picture))


def from_picture(picture: Image.Image) -> MedicalImage:
    """Convert the current frame of a Pillow image."""
    pixels, notes = pixels_of(picture)
    return image_of_pixels(pixels, notes, None, spacing_of(picture))


def image_of_pixels(
    pixels: np.ndarray,
    notes: list[str],
    path: Path | None,
    spacing: tuple[float, float] | None,
) -> MedicalImage:
    """Make an image of (Y, X) or (Y, X, C) pixels; ``spacing`` is in mm along rows and columns."""
    axes = "YXC"[: pixels.ndim]
    return MedicalImage(
        np.ascontiguousarray(pixels), axes, path=path, notes=tuple(notes), spacing=spacing
    )


def spacing_of(picture: Image.Image) -> tuple[float, float] | None:
    """Return the mm along rows and columns of the upright picture, unless a printer is as fine.

    Pillow gives the density of PNG, JPEG, JPEG 2000 and BMP in px per inch.
    """
    density = picture.info.get("dpi")
    if not isinstance(density, tuple) or len(density) != 2:
        return None
    # Along columns, which are counted from left to right, and along rows.
    horizontal, vertical = map(number_of, density)
    if horizontal is None or vertical is None:
        return None

    rows, columns = MILLIMETRES["inch"] / vertical, MILLIMETRES["inch"] / horizontal
    if not is_finer_than_print(rows, columns):
        return None
    if picture.getexif().get(EXIF_ORIENTATION, 1) in TRANSPOSED:
        return columns, rows
    return rows, columns


def png_header(path: Path) -> PngHeader | None:
    """Read the header of a PNG; return None for other formats."""
    with path.open("rb") as file:
        start = file.read(PNG_COLOUR_TYPE + 1)
    if not start.startswith(PNG_START):
        return None
    return PngHeader(
        bit_depth=start[PNG_BIT_DEPTH], is_grey=start[PNG_COLOUR_TYPE] in PNG_GREY_TYPES
    )


def pixels_of_16_bit_png(path: Path, png: PngHeader) -> np.ndarray:
    """Decode to uint16: (Y, X), (Y, X, 2) with alpha, (Y, X, 3), or (Y, X, 4) with alpha."""
    import cv2

    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("OpenCV cannot decode it")
    if pixels.ndim == 2:
        return pixels

    # OpenCV returns blue, green, red and perhaps alpha.
    red_green_blue_alpha = [2, 1, 0, 3]
    pixels = pixels[..., red_green_blue_alpha[: pixels.shape[-1]]]
    if png.is_grey:
        return one_of_equal_colours(pixels)
    return pixels


def pixels_of(picture: Image.Image) -> tuple[np.ndarray, list[str]]:
    """Decode to (Y, X) or (Y, X, C), upright and without a palette; also return notes."""
    from PIL import ImageOps

    notes = []
    if picture.getexif().get(EXIF_ORIENTATION, 1) != 1:
        notes.append("turned as the camera's EXIF orientation says")
        picture = ImageOps.exif_transpose(picture)

    # Pillow returns later frames of a GIF as RGB, although the GIF has a palette.
    has_palette = picture.mode in ("P", "PA") or picture.format == "GIF"
    if has_palette:
        notes.append("expanded the colour palette")
        pixels = np.array(picture.convert(mode_of_palette(picture)))
        if (pixels[..., :1] == pixels[..., :3]).all():
            pixels = one_of_equal_colours(pixels)
        return pixels, notes

    is_plain = picture.mode in PLAIN_MODES or picture.mode.startswith("I;16")
    if not is_plain:
        notes.append(f"converted from {picture.mode} to RGB")
        picture = picture.convert("RGB")
    return np.array(picture), notes


def mode_of_palette(picture: Image.Image) -> str:
    """Return the mode to convert to: RGBA if the palette has transparent colours, else RGB."""
    if "transparency" in picture.info or picture.mode == "PA":
        return "RGBA"
    return "RGB"


def one_of_equal_colours(pixels: np.ndarray) -> np.ndarray:
    """Keep one of three equal colours: (Y, X, 3) to (Y, X), with alpha (Y, X, 4) to (Y, X, 2)."""
    if pixels.shape[-1] == 3:
        return pixels[..., 0]
    return pixels[..., [0, 3]]
