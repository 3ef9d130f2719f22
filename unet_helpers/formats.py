"""One reader a family of formats, chosen by a file's first bytes, not by its name."""

import gzip
import re
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from .errors import ImageError
from .images import MedicalImage, drop_alpha, from_array, refuse_if_huge
from .volumes import read_dicom, read_dicom_folder, read_nifti

MM = {
    "nm": 1e-6,
    "µm": 1e-3,
    "um": 1e-3,
    "micron": 1e-3,
    "microns": 1e-3,
    "mm": 1.0,
    "cm": 10.0,
    "m": 1000.0,
    "inch": 25.4,
}


def reader_of(path: Path):
    """The function that reads this file or folder; ImageError where its first bytes are those of no image."""
    if path.is_dir():
        return read_dicom_folder
    with path.open("rb") as file:
        start = file.read(560)
    if not start:
        raise ImageError(f"{path}: the file is empty. Copy or download it again.")
    if start[:2] == b"\x1f\x8b":
        with gzip.open(path) as file:
            start = file.read(560)
    if start[:8] == b"\x89PNG\r\n\x1a\n" or start[:3] in (b"\xff\xd8\xff", b"GIF") or start[:2] == b"BM":
        return read_raster
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return read_raster
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return read_tiff
    if (
        start[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c")
        or path.suffix.lower() == ".img"
    ):
        return read_nifti
    if start[128:132] == b"DICM":
        return read_dicom
    if start[:6] == b"\x93NUMPY":
        return read_npy
    if start[:4] == b"PK\x03\x04":
        return read_npz
    text = " It looks like text." if re.fullmatch(rb"[\t\n\r -~]+", start[:200]) else ""
    raise ImageError(f"{path}: no image format known here.{text} Export it as PNG, TIFF, NIfTI or DICOM.")


def read_raster(path: Path, page: int | None = None, **_) -> MedicalImage:
    """PNG, JPEG, BMP, GIF, WebP with Pillow; 16-bit colour PNG with OpenCV, since Pillow would cut it to 8 bit."""
    import cv2
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # there is a limit of our own
        try:
            opened = Image.open(path)
        except Image.DecompressionBombError as error:
            raise ImageError(f"{path}: {error} Cut or shrink it first.") from error
        with opened as picture:
            refuse_if_huge(path, (*picture.size, len(picture.getbands())))
            frames, notes = getattr(picture, "n_frames", 1), []
            if frames > 1:
                if page is not None and not 0 <= page < frames:
                    raise ImageError(f"{path}: has frames 0 to {frames - 1}, there is no frame {page}.")
                picture.seek(page or 0)
                notes.append(f"took frame {page or 0} of {frames}")
            picture.load()
            if start_of_deep_png(path):
                pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
                pixels = pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[-1]]]
                return from_array(pixels, tuple(notes))
            if picture.getexif().get(0x0112, 1) != 1:
                notes.append("turned as the camera's EXIF orientation says")
                picture = ImageOps.exif_transpose(picture)
            if picture.mode in ("P", "PA"):
                picture = picture.convert("RGBA" if "transparency" in picture.info or picture.mode == "PA" else "RGB")
                notes.append("expanded the colour palette")
            elif picture.mode not in ("1", "L", "LA", "RGB", "RGBA", "I", "F") and not picture.mode.startswith("I;16"):
                notes.append(f"converted from {picture.mode} to RGB")
                picture = picture.convert("RGB")
            pixels = np.array(picture)
    if pixels.ndim == 3 and pixels.shape[-1] == 2:
        return drop_alpha(MedicalImage(pixels, "YXC", notes=tuple(notes)))
    if "expanded the colour palette" in notes and (pixels[..., :1] == pixels[..., :3]).all():
        pixels = pixels[..., 0]
    return from_array(pixels, tuple(notes))


def start_of_deep_png(path: Path) -> bool:
    """Is it a PNG of 16 bits a channel with more than one channel? (bytes 24 and 25 of its header)"""
    with path.open("rb") as file:
        start = file.read(26)
    return start[:4] == b"\x89PNG" and start[24] == 16 and start[25] in (2, 6)


def read_tiff(path: Path, page: int | None = None, **_) -> MedicalImage:
    """TIFF, ImageJ and OME: 'YX' or 'YXC', or a stack; further axes give their first plane, with a note."""
    import tifffile

    with tifffile.TiffFile(path) as tif:
        series, notes = tif.series[0], []
        refuse_if_huge(path, series.shape)
        if len(tif.series) > 1:
            notes.append(f"took the first of {len(tif.series)} images of different shapes")
        first = series.keyframe
        try:
            pixels = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            if len(series.pages) == 1 and first.dtype == np.uint8:  # Pillow knows LZW and JPEG
                return read_raster(path)
            kind = first.compression.name
            raise ImageError(f"{path}: {kind} compression needs one more package: pip install imagecodecs") from error
        axes, spacing = series.axes, tiff_spacing(tif)
        photometric = first.photometric.name
        if photometric == "MINISWHITE" and pixels.dtype.kind in "bu":
            pixels = np.invert(pixels)
            notes.append("inverted: the file stores white as 0")
        if photometric == "PALETTE" and first.colormap is not None:
            pixels, axes = np.moveaxis(first.colormap[:, pixels] >> 8, 0, -1).astype(np.uint8), axes + "S"
            notes.append("expanded the colour palette")
    return arrange(pixels, axes, spacing, page, path, notes)


def arrange(pixels: np.ndarray, axes: str, spacing, page: int | None, path: Path, notes: list[str]) -> MedicalImage:
    """Any order of TIFF axes as 'YX', 'YXC', 'ZYX' or 'ZYXC'."""
    keep = [i for i, (letter, size) in enumerate(zip(axes, pixels.shape)) if size > 1 or letter in "YX"]
    pixels, axes = pixels.reshape([pixels.shape[i] for i in keep]), "".join(axes[i] for i in keep)
    colour = next((a for a in axes if a in "SC" and pixels.shape[axes.index(a)] in (2, 3, 4)), None)
    if colour == "C" and pixels.shape[axes.index("C")] == 2:
        colour = None  # two fluorescence channels are not grey and alpha
    if colour:
        pixels = np.moveaxis(pixels, axes.index(colour), -1)
        axes = axes.replace(colour, "") + "C"
    planes = len(axes.rstrip("C")) - 2
    if planes and page is not None:
        if not 0 <= page < len(pixels):
            raise ImageError(f"{path}: has pages 0 to {len(pixels) - 1}, there is no page {page}.")
        pixels, planes = pixels[page], planes - 1
        notes.append(f"took page {page}")
    while planes > 1 or (planes == 1 and len(axes) and axes[0] == "C"):
        notes.append(f"took the first of {len(pixels)} along axis {axes[0]}")
        pixels, axes, planes = pixels[0], axes[1:], planes - 1
    final = ("Z" if planes else "") + "YX" + ("C" if colour else "")
    if spacing is not None:
        spacing = spacing if planes and len(spacing) == 3 else spacing[-2:] if not planes else None
    return drop_alpha(MedicalImage(np.ascontiguousarray(pixels), final, spacing, notes=tuple(notes)))


def tiff_spacing(tif) -> tuple[float, ...] | None:
    """mm per step (z, y, x), or (y, x); only from ImageJ and OME, since a plain dpi is a printer's, not a microscope's."""
    if tif.is_ome:
        from xml.etree import ElementTree

        pixels = next(e for e in ElementTree.fromstring(tif.ome_metadata).iter() if e.tag.endswith("Pixels"))
        sizes = [(pixels.get(f"PhysicalSize{a}"), MM.get(pixels.get(f"PhysicalSize{a}Unit", "µm"))) for a in "ZYX"]
        known = [float(size) * unit for size, unit in sizes if size and unit]
        return tuple(known) if len(known) == len(sizes) or (len(known) == 2 and not sizes[0][0]) else None
    if tif.is_imagej:
        meta, tags = tif.imagej_metadata or {}, tif.pages[0].tags
        unit = MM.get(str(meta.get("unit", "")).encode("latin-1", "ignore").decode("unicode_escape"))
        if unit is None or "XResolution" not in tags:
            return None
        across = [tags[name].value for name in ("YResolution", "XResolution")]
        steps = [unit * below / above for above, below in across if above]
        depth = [float(meta["spacing"]) * unit] if "spacing" in meta else []
        return (*depth, *steps) if len(steps) == 2 else None
    return None


def read_npy(path: Path, **_) -> MedicalImage:
    """One array; never a pickle."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
        refuse_if_huge(path, header(file)[0])
    return from_array(np.load(path, allow_pickle=False))


def read_npz(path: Path, **_) -> MedicalImage:
    """The only array of an archive, or the one named 'image' or 'arr_0'."""
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
    names = [name for name in ("image", "arr_0") if name in sizes] or list(sizes)
    if len(names) != 1:
        raise ImageError(f"{path}: holds {', '.join(sizes) or 'nothing'}. Save one array, or call it 'image'.")
    refuse_if_huge(path, (sizes[names[0]] // 8,))
    with np.load(path, allow_pickle=False) as arrays:
        return replace(from_array(arrays[names[0]]), notes=(f"took the array '{names[0]}'",))
