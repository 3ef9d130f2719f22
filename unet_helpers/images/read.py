"""``read_image``: read a file, or convert an array or picture, to a ``MedicalImage``.

The reader is chosen by the file's first bytes, not by its name: see ``formats.FORMATS``.
"""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..errors import ImageError
from ..files import did_you_mean
from .arrays import ARRAY, chosen, from_array
from .checked import checked
from .formats import FOLDER, START_BYTES, ZARR, Format, format_of, formats_needing
from .geometry import with_spacing
from .image import MedicalImage
from .options import ReadOptions, refuse_unknown
from .pillow import from_picture
from .zarr_stores import is_zarr_store

if TYPE_CHECKING:
    import torch
    from PIL import Image

    # The types that every function with an image as argument accepts.
    ImageSource: TypeAlias = (
        str | os.PathLike[str] | np.ndarray | Image.Image | torch.Tensor | MedicalImage
    )

GZIP_START = b"\x1f\x8b"

# Options that choose a part of an image in memory.
PARTS = ("channel", "page", "frame")

# Regular expression for the bytes of a text file.
PRINTABLE = rb"[\t\n\r -~]+"

# The most characters of a library's error message that are repeated in an ImageError.
MAX_DESCRIPTION = 200


def read_image(
    source: ImageSource,
    *,
    channel: int | str | None = None,
    frame: int | None = None,
    page: int | None = None,
    level: int | None = None,
    volume: int | None = None,
    series: str | int | None = None,
    select: str | None = None,
    axes: str | None = None,
    spacing: float | Sequence[float] | None = None,
) -> MedicalImage:
    """Read an image, stack or volume from a file, or take one that is in memory.

    A file's format is recognised by its bytes, so its name does not matter: PNG, JPEG, JPEG 2000,
    GIF, BMP, WebP, TIFF (also from ImageJ, OME and slide scanners), NIfTI and Analyze, MGH, NRRD,
    MetaImage, DICOM, NumPy .npy and NumPy .npz; or a folder of DICOM slices, or an OME-Zarr store.

    Parameters
    ----------
    source : str, os.PathLike, np.ndarray, PIL.Image.Image, torch.Tensor or MedicalImage
        A path, in which ``~`` is the home folder. An array or tensor has the axes 'YX', 'YXC' (if
        the last has length 3 or 4), 'ZYX' or 'ZYXC', or those that ``axes`` names.
    channel : int or str, optional
        Index or name of a channel, or a colour: 'red', 'green' or 'blue'.
    frame : int, optional
        Index of a point in time, or of a frame of a GIF or DICOM file.
    page : int, optional
        Index of a slice of a stack (a page of a TIFF), or of a frame of a GIF.
    level : int, optional
        Index of a resolution of an image pyramid; 0 is the finest.
    volume : int, optional
        Index of a volume of a 4D file.
    series : str or int, optional
        UID, number or description of one of several DICOM series; 'echo TIME' picks one of its
        echoes. Index or name of an image of a TIFF or Zarr store: a scene, a position, a well.
    select : str, optional
        Picks some images of a DICOM series or file by an attribute and its value, such as
        'AcquisitionNumber=2', 'EchoTime=80' or 'ImageType=P'; several after commas.
    axes : str, optional
        A letter for each axis of an array: T (time), Z (slices), C (channels), Y (rows) and X
        (columns), such as 'YXC', 'CYX' or 'TZYX'.
    spacing : float or sequence of float, optional
        Distance in mm between neighbouring pixels, one number or one for each spatial axis in the
        order of ``axes``; replaces the spacing in the file.

    Returns
    -------
    MedicalImage
        Pixels as stored, with axes, spacing, affine, and notes about what was found and changed.

    Raises
    ------
    ImageError
        If the source cannot be read; no other error is raised. It names the file and says what to
        do.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> image = uh.read_image(uh.sample("retina"))
    >>> image.axes, image.pixels.dtype.name
    ('YXC', 'uint8')
    """
    options = ReadOptions(
        channel=channel,
        frame=frame,
        page=page,
        level=level,
        volume=volume,
        series=series,
        select=select,
        axes=axes,
    )
    if isinstance(source, MedicalImage):
        return with_spacing(part_of(source, options), spacing)
    if isinstance(source, str | os.PathLike):
        image = read_path(source, options)
    else:
        image = from_memory(source, options)
    return with_spacing(checked(image), spacing)


def read_path(source: str | os.PathLike[str], options: ReadOptions) -> MedicalImage:
    """Read a file or folder, as stored, with the reader of its format."""
    if str(source).startswith(("http://", "https://")):
        raise ImageError(f"{source}: a web address. Give it to segment_many, or download it first.")
    path = expanded(source)
    with reading_errors(path):
        file_format = format_of_path(path)
        if file_format.read is None:
            raise ImageError(f"{path}: not read here: {file_format.advice}.")
        refuse_unknown(options, file_format.options, path)
        image = file_format.read(path, options)
    return replace(image, path=path)


def expanded(source: str | os.PathLike[str]) -> Path:
    """Replace ``~`` by the home folder; ImageError for an empty path."""
    text = os.fspath(source)
    # pathlib would take an empty path for the current folder.
    if not text.strip():
        raise ImageError(
            "No image given: the path is empty. Write the path of a file or of a folder."
        )
    return Path(text).expanduser()


def part_of(image: MedicalImage, options: ReadOptions) -> MedicalImage:
    """Take the part of an image that is asked for; without a question, the image itself."""
    if not options.given():
        return image
    name = image.path or "The image"
    refuse_unknown(options, PARTS, name)
    return checked(chosen(image, options, name))


def from_memory(source: object, options: ReadOptions) -> MedicalImage:
    """Convert a NumPy array, a Pillow image or a PyTorch tensor."""
    import torch
    from PIL import Image

    if isinstance(source, np.ndarray):
        refuse_unknown(options, ARRAY, "The array")
        return from_array(source, options=options)
    if isinstance(source, Image.Image):
        with reading_errors(Path("The picture")):
            refuse_unknown(options, PARTS, "The picture")
            return chosen(from_picture(source), options, "The picture")
    if isinstance(source, torch.Tensor):
        with reading_errors(Path("The tensor")):
            refuse_unknown(options, ARRAY, "The tensor")
            return from_array(as_array(source), name="The tensor", options=options)
    raise ImageError(
        f"{type(source).__name__} is no path, array, tensor or image. "
        "Give many images to segment_many."
    )


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """Convert a tensor on any device; bfloat16, which NumPy lacks, becomes single precision."""
    import torch

    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.numpy()


def format_of_path(path: Path) -> Format:
    """Return the format of a file or folder; raise ImageError if it is unknown."""
    if path.is_dir():
        return ZARR if is_zarr_store(path) else FOLDER
    if path.exists() and not path.is_file():
        raise ImageError(
            f"{path}: neither a file nor a folder, but a pipe or a device. Save it to a file first."
        )

    start = first_bytes(path)
    if not start:
        raise ImageError(f"{path}: the file is empty. Copy or download it again.")
    if start.startswith(GZIP_START):
        with gzip.open(path) as file:
            start = file.read(START_BYTES)

    file_format = format_of(start, path)
    if file_format is None:
        is_text = re.fullmatch(PRINTABLE, start[:200]) is not None
        text = " It looks like text." if is_text else ""
        raise ImageError(
            f"{path}: no image format known here.{text} Export it as PNG, TIFF, NIfTI or DICOM."
        )
    return file_format


def first_bytes(path: Path) -> bytes:
    """Read the bytes by which formats are recognised."""
    with path.open("rb") as file:
        return file.read(START_BYTES)


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Turn any error while ``path`` is read into an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except FileNotFoundError as error:
        # The missing file may be the second one of a pair, so the error's own path is named.
        missing = Path(error.filename or path)
        raise ImageError(
            f"{missing}: there is no such file{did_you_mean(missing)} ({Path.cwd()})."
        ) from error
    except PermissionError as error:
        raise ImageError(
            f"{path}: may not be read by this user. Change its permissions or copy it."
        ) from error
    except MemoryError as error:
        raise ImageError(f"{path}: does not fit into memory. Cut or shrink it first.") from error
    except ModuleNotFoundError as error:
        raise ImageError(
            f"{path}: {need(error.name)} one more package: pip install {error.name}"
        ) from error
    # Decoders raise many kinds of errors on damaged files.
    except Exception as error:
        raise ImageError(
            f"{path}: damaged or unusual, cannot be read ({describe(error)}). Export it again."
        ) from error


def need(package: str | None) -> str:
    """Write the beginning of a sentence about what needs a package."""
    names = formats_needing(package)
    if not names:
        return "it needs"
    if len(names) == 1:
        return f"reading {names[0]} needs"
    return f"{' and '.join(names)} need"


def describe(error: Exception) -> str:
    """Write an error's type and the beginning of its message as one line."""
    kind = type(error).__name__
    words = " ".join(str(error).split())
    if not words:
        return kind
    return f"{kind}: {words[:MAX_DESCRIPTION]}"
