"""One reader a family of formats, chosen by a file's first bytes, not by its name."""

import gzip
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np

from .errors import ImageError
from .images import MedicalImage, from_array, refuse_if_hollow, refuse_if_huge
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
COLOURS = {("S", 2), ("S", 3), ("S", 4), ("C", 3), ("C", 4)}  # TIFF axes; two channels are no grey and alpha


def reader_of(path: Path):
    """The function that reads this file or folder; ImageError where its first bytes are those of no image."""
    if path.is_dir():
        return read_dicom_folder
    if path.exists() and not path.is_file():
        raise ImageError(f"{path}: neither a file nor a folder, but a pipe or a device. Save it to a file first.")
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
    """PNG, JPEG, BMP, GIF, WebP with Pillow; 16-bit PNG with OpenCV, since Pillow would cut colours to 8 bit."""
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
            depth, grey = png_header(path)
            if depth == 16:
                pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
                pixels = pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[-1]]]
                return with_alpha(pixels, grey, notes)
            if depth in (2, 4) and grey:
                notes.append(f"greys of {depth} bit spread over 0 to 255")
            if picture.getexif().get(0x0112, 1) != 1:
                notes.append("turned as the camera's EXIF orientation says")
                picture = ImageOps.exif_transpose(picture)
            palette = picture.mode in ("P", "PA") or picture.format == "GIF"  # later frames of a GIF come as RGB
            if palette:
                picture = picture.convert("RGBA" if "transparency" in picture.info or picture.mode == "PA" else "RGB")
                notes.append("expanded the colour palette")
            elif picture.mode not in ("1", "L", "LA", "RGB", "RGBA", "I", "F") and not picture.mode.startswith("I;16"):
                notes.append(f"converted from {picture.mode} to RGB")
                picture = picture.convert("RGB")
            pixels = np.array(picture)
    return with_alpha(pixels, palette and (pixels[..., :1] == pixels[..., :3]).all(), notes)


def with_alpha(pixels: np.ndarray, grey: bool, notes: list[str]) -> MedicalImage:
    """(H, W) or (H, W, 1 to 4) as it is, or with just one of three equal colours."""
    if grey and pixels.ndim == 3:
        pixels = pixels[..., [0, 3][: pixels.shape[-1] - 2]]
    if pixels.ndim == 3 and pixels.shape[-1] == 2:
        return MedicalImage(pixels, "YXC", notes=tuple(notes))
    return from_array(pixels, tuple(notes))


def png_header(path: Path) -> tuple[int, bool]:
    """Bits a channel, and whether it is grey, from bytes 24 and 25; 0 bits where the file is no PNG."""
    with path.open("rb") as file:
        start = file.read(26)
    return (start[24], start[25] in (0, 4)) if start[:4] == b"\x89PNG" else (0, False)


def read_tiff(path: Path, page: int | None = None, **_) -> MedicalImage:
    """TIFF, ImageJ and OME: 'YX' or 'YXC', or a stack; further axes give their first plane, with a note."""
    import tifffile

    with tifffile.TiffFile(path) as tif:
        series, notes = tif.series[0], []
        refuse_if_huge(path, series.shape)
        refuse_if_hollow(path, series.nbytes, path.stat().st_size)
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
            pixels = pixels ^ pixels.dtype.type(2**first.bitspersample - 1)
            notes.append("inverted: the file stores white as 0")
        if photometric == "PALETTE" and first.colormap is not None:
            pixels, axes = np.moveaxis(first.colormap[:, pixels] >> 8, 0, -1).astype(np.uint8), axes + "S"
            notes.append("expanded the colour palette")
    return arrange(pixels, axes, spacing, page, path, notes)


def arrange(pixels: np.ndarray, axes: str, spacing, page: int | None, path: Path, notes: list[str]) -> MedicalImage:
    """Any order of TIFF axes as 'YX', 'YXC', 'ZYX' or 'ZYXC'."""
    keep = [i for i, (letter, size) in enumerate(zip(axes, pixels.shape)) if size > 1 or letter in "YX"]
    pixels, axes = pixels.reshape([pixels.shape[i] for i in keep]), "".join(axes[i] for i in keep)
    sizes = pixels.shape
    colour = [i for i, letter in enumerate(axes) if (letter, sizes[i]) in COLOURS][-1:]
    others = [i for i, letter in enumerate(axes) if letter not in "YX" and i not in colour]
    others.sort(key=lambda i: (axes[i] in "SC") - (axes[i] == "Z"))  # slices go before times, times before channels
    pixels = pixels.transpose([*others[::-1], axes.index("Y"), axes.index("X"), *colour])
    for i in others[:0:-1]:
        notes.append(f"took the first of {sizes[i]} along axis {axes[i]}")
        pixels = pixels[0]
    depth = axes[others[0]] if others else ""
    if depth and page is not None:
        if not 0 <= page < len(pixels):
            raise ImageError(f"{path}: has pages 0 to {len(pixels) - 1}, there is no page {page}.")
        notes.append(f"took page {page}")
        pixels, depth = pixels[page], ""
    elif depth and depth in "SC":
        notes.append(f"took the first of {len(pixels)} along axis {depth}")
        pixels, depth = pixels[0], ""
    if spacing is not None:
        spacing = spacing[-2:] if not depth else spacing if len(spacing) == 3 and depth != "T" else None
    final = ("Z" if depth else "") + "YX" + ("C" if colour else "")
    return MedicalImage(np.ascontiguousarray(pixels), final, spacing, notes=tuple(notes))


def tiff_spacing(tif) -> tuple[float, ...] | None:
    """mm per step (z, y, x), or (y, x); only from ImageJ and OME, since a plain dpi is a printer's."""
    if tif.is_ome:
        from xml.etree import ElementTree

        pixels = next(e for e in ElementTree.fromstring(tif.ome_metadata).iter() if e.tag.endswith("Pixels"))
        sizes = [(pixels.get(f"PhysicalSize{a}"), MM.get(pixels.get(f"PhysicalSize{a}Unit", "µm"))) for a in "ZYX"]
        known = [float(size) * unit for size, unit in sizes if size and unit]
        return tuple(known) if len(known) == len(sizes) or (len(known) == 2 and not sizes[0][0]) else None
    if tif.is_imagej:
        meta, tags = tif.imagej_metadata or {}, tif.pages[0].tags
        unit = MM.get(str(meta.get("unit", "")).replace("\\u00B5", "µ").replace("μ", "µ"))
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
        npy_size(file, path)
    return from_array(np.load(path, allow_pickle=False), name=path)


def npy_size(file, path: Path) -> int:
    """Bytes of the array, from its header."""
    version = np.lib.format.read_magic(file)
    header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
    shape, _, dtype = header(file)
    refuse_if_huge(path, shape)
    return int(np.prod(shape, dtype=object)) * dtype.itemsize


def read_npz(path: Path, **_) -> MedicalImage:
    """The only array of an archive, or the one named 'image' or 'arr_0'."""
    with zipfile.ZipFile(path) as archive:
        held = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        names = [name for name in ("image", "arr_0") if name in held] or list(held)
        if len(names) != 1:
            raise ImageError(f"{path}: holds {', '.join(held)[:200] or 'nothing'}. Save one array, or call it 'image'.")
        with archive.open(held[names[0]]) as file:
            refuse_if_hollow(path, npy_size(file, path), held[names[0]].compress_size)
    with np.load(path, allow_pickle=False) as arrays:
        return from_array(arrays[names[0]], (f"took the array '{names[0]}'",), path)
