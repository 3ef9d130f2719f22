"""``read_image``: from any file to a ``MedicalImage``; the reader is chosen by the first bytes, not by the name."""

import gzip
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from inspect import signature
from operator import getitem
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ..errors import ImageError
from ..files import did_you_mean
from . import tiff
from .dicom import looks_like_dicom, read_dicom, read_dicom_folder
from .image import MedicalImage, checked, from_array, index_of, noted
from .numpy_files import read_npy, read_npz
from .pillow import read_raster
from .volumes import read_itk, read_nifti

IN_FIJI = "open it in Fiji and save it as OME-TIFF"
# how files begin, unpacked where gzipped, and what reads them; or the name of the format and the way out
FORMATS = {
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF|BM|RIFF....WEBP|\0\0\0\x0cjP  ": read_raster,
    rb"II[*+]\0|MM\0[*+]": tiff.read_tiff,
    rb"\x5c\x01\0\0|\0\0\x01\x5c|\x1c\x02\0\0|\0\0\x02\x1c|\0\0\0\x01\0\0": read_nifti,  # the last: FreeSurfer
    rb"NRRD0|(Comment|ObjectType|NDims)\s*=": read_itk,
    rb"\x93NUMPY": read_npy,
    rb"PK": read_npz,
    rb"ZISRAWFILE": f"Zeiss .czi: {IN_FIJI}",
    rb"\xda\xce\xbe\x0a": f"Nikon .nd2: {IN_FIJI}",
    rb"\x70\0\0\0": f"Leica .lif: {IN_FIJI}",
    rb"\xd0\xcf\x11\xe0": f"Olympus .oib, Zeiss .zvi or an old Office document: {IN_FIJI}",
    rb"\x89HDF\r\n\x1a\n": "HDF5 (.ims, .h5, .mnc): save it as OME-TIFF with Fiji, a volume as NIfTI",
    rb"%PDF": "a PDF document: export the image in it as PNG",
}


def read_image(
    source,
    *,
    channel: int | str | None = None,
    frame: int | None = None,
    page: int | None = None,
    level: int | None = None,
    volume: int | None = None,
    series: str | None = None,
    spacing=None,
) -> MedicalImage:
    """Read a file: PNG, JPEG, BMP, GIF, WebP, TIFF, NIfTI, Analyze, MGH, NRRD, MetaImage, DICOM or NumPy; or a folder
    of DICOM slices.

    ``channel`` (index or name) and ``frame`` (in time) pick from a TIFF, ``level`` one resolution of a pyramid (0 is
    the finest), ``page`` one page of a stack or frame of a GIF, ``volume`` one of a 4D file, ``series`` (UID, number
    or description; 'echo TIME') one of several DICOM series. ``spacing`` in mm, one number or one for each spatial
    axis, replaces that of the file. An array is taken as 'YX', 'YXC' (last axis 3 or 4) or 'ZYX'; a MedicalImage is
    returned as it is. Raises ImageError, and nothing else, for what cannot be read.
    """
    if isinstance(source, MedicalImage):
        return with_spacing(source, spacing)
    if isinstance(source, np.ndarray):
        return with_spacing(checked(from_array(source)), spacing)
    if not isinstance(source, str | os.PathLike):
        raise ImageError(
            f"{type(source).__name__} is no path, array or image. Give many images to segment_many."
        )
    if str(source).startswith(("http://", "https://")):
        raise ImageError(f"{source}: a web address. Give it to segment_many, or download it first.")
    path = Path(os.fspath(source)).expanduser()
    options = {
        "page": page,
        "level": level,
        "volume": volume,
        "series": series,
        "channel": channel,
        "frame": frame,
    }
    chosen = {name: value for name, value in options.items() if value is not None}
    with reading_errors(path):
        reader = reader_of(path)
        if unknown := chosen.keys() - signature(reader).parameters.keys():
            raise ImageError(
                f"{path}: there is no {' or '.join(sorted(unknown))} to choose in this kind of file."
            )
        image = reader(path, **chosen)
    return with_spacing(checked(replace(image, path=path)), spacing)


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Whatever goes wrong while ``path`` is read is an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except FileNotFoundError as error:
        path = error.filename or path  # perhaps the other half of a pair
        raise ImageError(
            f"{path}: there is no such file{did_you_mean(path)} ({Path.cwd()})."
        ) from error
    except PermissionError as error:
        raise ImageError(
            f"{path}: may not be read by this user. Change its permissions or copy it."
        ) from error
    except MemoryError as error:
        raise ImageError(f"{path}: does not fit into memory. Cut or shrink it first.") from error
    except ModuleNotFoundError as error:
        formats = {"pydicom": "reading DICOM needs", "SimpleITK": "NRRD and MetaImage need"}.get(
            error.name, "it needs"
        )
        raise ImageError(f"{path}: {formats} one more package: pip install {error.name}") from error
    except Exception as error:  # decoders fail in many ways, on files made to break them in any way
        raise ImageError(
            f"{path}: damaged or unusual, cannot be read ({describe(error)}). Export it again."
        ) from error


def with_spacing(image: MedicalImage, spacing) -> MedicalImage:
    """With a spacing given by hand, in mm."""
    if spacing is None:
        return image
    axes, affine = len(image.axes.strip("TC")), image.affine
    steps = (spacing,) * axes if isinstance(spacing, int | float) else tuple(spacing)
    if len(steps) != axes or not all(
        isinstance(s, int | float) and np.isfinite(s) and s > 0 for s in steps
    ):
        raise ImageError(
            f"spacing={spacing!r}: give mm per px above 0, one number or {axes} of them."
        )
    if affine is not None:
        lengths, affine = np.linalg.norm(affine[:3, :3], axis=0), affine.copy()
        affine[:3, :3] *= steps[:: 1 if image.axes.startswith("X") else -1] / np.where(
            lengths > 0, lengths, 1
        )
    return noted(image, "spacing given by hand", spacing=tuple(map(float, steps)), affine=affine)


def open_lazily(
    source, level=0, region: tuple[int, ...] | None = None, channel=None, spacing=None
) -> MedicalImage:
    """'YX' or 'YXC' of a TIFF or Zarr store, whose pixels are a dask array that reads only what is asked for.

    ``level`` 0 is the finest, ``region`` is (top, left, height, width) in px of it, ``channel`` counts what is neither
    rows nor columns nor colours, or is a name of OME's. Raises ImageError, also when pixels are read.
    """
    path, notes, known, names = Path(os.fspath(source)).expanduser(), [], None, ()
    with reading_errors(path):
        import dask.array
        import tifffile
        import zarr

        if not path.is_dir():
            with tiff.complaints() as heard, tifffile.TiffFile(path) as tif:
                series, notes, shrunk, number = tiff.pick_level(path, tif, level)
                tiff.refuse_if_cut_off(path, series, heard)
                if series.keyframe.photometric in (0, 3):
                    raise ImageError(
                        f"{path}: stores white as 0, or a palette. Save it as grey or RGB."
                    )
                ome = (
                    ElementTree.fromstring(tif.ome_metadata).find(".//{*}Image")
                    if tif.is_ome
                    else None
                )
                steps, names = tiff.tiff_spacing(tif, ome), tiff.channel_names(tif, ome)
                known = (
                    (steps["Y"] * shrunk, steps["X"] * shrunk)
                    if {"Y", "X"} <= steps.keys()
                    else None
                )
        node = zarr.open(
            path if path.is_dir() else tifffile.imread(path, aszarr=True, series=number), mode="r"
        )
        levels = dict(sorted(node.arrays())) if isinstance(node, zarr.Group) else {"": node}
        name = list(levels)[index_of(path, "level", level, len(levels))]
        if len(levels) > 1 and path.is_dir():
            notes.append(
                f"took the array {name!r} of {', '.join(levels)}; choose another one with level="
            )
        if path.is_dir():
            names, known = ome_zarr(dict(node.attrs), name)
        stored = levels[name]
        if np.prod(stored.chunks) > 2**27:  # values, which are decoded at once to read one of them
            raise ImageError(
                f"{path}: is stored in pieces of {stored.chunks} values. Save it in tiles."
            )
        pixels = dask.array.from_array(
            stored, stored.chunks, name=False, getitem=reading_errors(path)(getitem)
        )
        colour = pixels.shape[-1] in (2, 3, 4)
        *outer, height, width = pixels.shape[: pixels.ndim - colour]
        count = int(np.prod(outer))
        names = names if len(names) == count and all(names) else ()
        index = tiff.channel_index(channel, count, names, path)
        if count > 1:
            named = f"{index} ({names[index]})" if names else index
            notes.append(f"took channel {named} of {count}; choose another one with channel=")
        pixels = pixels[np.unravel_index(index, outer)]
        top, left, *size = region or (0, 0, height, width)
        pixels = pixels[top : top + size[0], left : left + size[1]].astype(
            pixels.dtype.newbyteorder("=")
        )
        if pixels.shape[:2] != tuple(size):
            raise ImageError(
                f"{path}: is {height} × {width} px, there is no (top, left, height, width) {region}."
            )
    return with_spacing(
        MedicalImage(pixels, "YX" + "C" * colour, known, path=path, notes=tuple(notes)), spacing
    )


def ome_zarr(attributes: dict, name: str) -> tuple[tuple[str, ...], tuple[float, ...] | None]:
    """Names of the channels, and mm along rows and columns of the array ``name``, as OME-NGFF 0.4 and 0.5 hold them."""
    about = attributes.get("ome", attributes)
    names = tuple(
        str(channel.get("label", "")) for channel in about.get("omero", {}).get("channels", ())
    )
    for image in (
        image for image in about.get("multiscales", ()) if image.get("version", "0.4") >= "0.4"
    ):
        scales = {
            held["path"]: held["coordinateTransformations"][0]["scale"]
            for held in image["datasets"]
        }
        units = [tiff.millimetres(axis.get("unit", "")) for axis in image["axes"]][-2:]
        if (
            name in scales and all(units) and "coordinateTransformations" not in image
        ):  # of all levels: rare, not read
            return names, tuple(
                step * unit for step, unit in zip(scales[name][-2:], units, strict=True)
            )
    return names, None


def describe(error: Exception) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:200]}" if words else type(error).__name__


def reader_of(path: Path):
    """The function that reads this file or folder; ImageError where its first bytes are those of no image."""
    if path.is_dir():
        if any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray")):
            raise ImageError(
                f"{path}: a Zarr store. Give it to segment_large, or one of its arrays as a NumPy array."
            )
        return read_dicom_folder
    if path.exists() and not path.is_file():
        raise ImageError(
            f"{path}: neither a file nor a folder, but a pipe or a device. Save it to a file first."
        )
    with path.open("rb") as file:
        start = file.read(560)
    if not start:
        raise ImageError(f"{path}: the file is empty. Copy or download it again.")
    if start[:2] == b"\x1f\x8b":
        with gzip.open(path) as file:
            start = file.read(560)
    if looks_like_dicom(start):  # also with a TIFF header in its preamble
        return read_dicom
    if path.suffix.lower() == ".vsi":  # a TIFF that holds only a thumbnail
        raise ImageError(
            f"{path}: not read here: Olympus .vsi, whose image lies in another folder: {IN_FIJI}."
        )
    other = read_nifti if path.suffix.lower() == ".img" else None
    found = next(
        (reader for magic, reader in FORMATS.items() if re.match(magic, start, re.DOTALL)), other
    )
    if isinstance(found, str):
        raise ImageError(f"{path}: not read here: {found}.")
    if found is None:
        text = " It looks like text." if re.fullmatch(rb"[\t\n\r -~]+", start[:200]) else ""
        raise ImageError(
            f"{path}: no image format known here.{text} Export it as PNG, TIFF, NIfTI or DICOM."
        )
    return found
