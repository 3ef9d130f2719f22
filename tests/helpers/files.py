"""A small file of every format, and what ``read_image`` has to make of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np

from helpers.writers import (
    COLOURS,
    FLOAT,
    FOUR_BITS,
    GREY8,
    GREY16,
    GREY_ALPHA16,
    GREYS,
    ONE_BIT,
    RGB8,
    RGBA8,
    RGBA16,
    SMOOTH,
    STACK8,
    STACK16,
    TWO_BITS,
    VOLUME,
    dicom,
    frames,
    itk,
    lookup_tables,
    nifti,
    palette,
    pil,
    raw_png,
    series,
    thumbnail_first,
    tiff,
    turned,
    white_is_zero,
    ybr,
)


@dataclass
class Case:
    """A file, and what ``read_image`` has to make of it."""

    id: str
    name: str
    write: Callable[[Path], object]
    pixels: np.ndarray
    axes: str = "YX"
    spacing: tuple | None = None

    # Words of a note; '' where nothing was dropped or changed.
    note: str = ""

    # Of ``read_image``.
    options: dict = field(default_factory=dict)

    # How far values may differ, of lossy formats.
    atol: float = 0


# Steps of 2 µm in depth, as ImageJ and OME have them.
IMAGEJ_STACK = {"unit": "um", "spacing": 2.0, "axes": "ZYX"}
OME_STACK = {"axes": "ZYX", "PhysicalSizeZ": 2.0, "PhysicalSizeY": 0.25, "PhysicalSizeX": 0.5}

FILES = [
    Case("png 1 bit", "a.png", raw_png(ONE_BIT, 1, 0), ONE_BIT),
    Case("png 2 bit", "a.png", raw_png(TWO_BITS, 2, 0), TWO_BITS * 85, note="2 bit"),
    Case("png 4 bit", "a.png", raw_png(FOUR_BITS, 4, 0), FOUR_BITS * 17, note="4 bit"),
    Case("png 8 bit", "a.png", pil(GREY8), GREY8),
    Case("png 16 bit", "a.png", pil(GREY16), GREY16),
    Case("png rgb", "a.png", pil(RGB8), RGB8, "YXC"),
    Case("png rgba", "a.png", pil(RGBA8), RGB8, "YXC", note="alpha"),
    Case("png grey alpha", "a.png", raw_png(RGBA8[..., :2], 8, 4), RGBA8[..., 0], note="alpha"),
    Case(
        "png grey alpha 16 bit",
        "a.png",
        raw_png(GREY_ALPHA16, 16, 4),
        GREY_ALPHA16[..., 0],
        note="alpha",
    ),
    Case("png rgb 16 bit", "a.png", raw_png(RGBA16[..., :3], 16, 2), RGBA16[..., :3], "YXC"),
    Case("png rgba 16 bit", "a.png", raw_png(RGBA16, 16, 6), RGBA16[..., :3], "YXC", note="alpha"),
    Case("png palette", "a.png", palette(COLOURS), COLOURS[FOUR_BITS], "YXC", note="palette"),
    Case("png palette of greys", "a.png", palette(GREYS), FOUR_BITS * 17, note="palette"),
    Case(
        "png palette, clear",
        "a.png",
        palette(COLOURS, transparency=3),
        COLOURS[FOUR_BITS],
        "YXC",
        note="alpha",
    ),
    Case("png greys, clear", "a.png", palette(GREYS, transparency=3), FOUR_BITS * 17, note="alpha"),
    Case("jpeg grey", "a.jpg", pil(SMOOTH[..., 0], quality=95), SMOOTH[..., 0], atol=3),
    Case("jpeg rgb", "a.jpg", pil(SMOOTH, quality=95, subsampling=0), SMOOTH, "YXC", atol=4),
    Case("jpeg cmyk", "a.jpg", pil(SMOOTH, "CMYK", quality=95), SMOOTH, "YXC", note="CMYK", atol=6),
    Case("jpeg turned", "a.jpg", turned, np.rot90(SMOOTH, -1), "YXC", note="EXIF", atol=4),
    Case("bmp", "a.bmp", pil(RGB8), RGB8, "YXC"),
    Case("bmp grey", "a.bmp", pil(GREY8), GREY8),
    Case("gif", "a.gif", palette(COLOURS), COLOURS[FOUR_BITS], "YXC", note="palette"),
    Case("gif grey", "a.gif", pil(GREY8), GREY8, note="palette"),
    Case("gif frames", "a.gif", frames(*STACK8), STACK8[0], note="frame 0 of 5"),
    Case(
        "gif frame 2", "a.gif", frames(*STACK8), STACK8[2], note="frame 2 of 5", options={"page": 2}
    ),
    Case(
        "gif frame 3",
        "a.gif",
        frames(*STACK8),
        STACK8[3],
        note="frame 3 of 5",
        options={"frame": 3},
    ),
    Case("webp", "a.webp", pil(RGB8, lossless=True), RGB8, "YXC"),
    Case("webp lossy", "a.webp", pil(SMOOTH, quality=95), SMOOTH, "YXC", atol=8),
    Case("tiff 8 bit", "a.tif", tiff(GREY8), GREY8),
    Case("tiff 16 bit", "a.tif", tiff(GREY16), GREY16),
    Case("tiff int16", "a.tif", tiff(STACK16[0]), STACK16[0]),
    Case("tiff float", "a.tif", tiff(FLOAT), FLOAT),
    Case("tiff rgb", "a.tif", tiff(RGB8, photometric="rgb"), RGB8, "YXC"),
    Case(
        "tiff rgba",
        "a.tif",
        tiff(RGBA16, photometric="rgb", extrasamples=["unassalpha"]),
        RGBA16[..., :3],
        "YXC",
        note="alpha",
    ),
    Case(
        "tiff planar",
        "a.tif",
        tiff(RGB8.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
        RGB8,
        "YXC",
    ),
    Case(
        "tiff 5 samples",
        "a.tif",
        tiff(np.stack([*STACK8], -1), photometric="minisblack", planarconfig="contig"),
        STACK8[0],
        note="channel 0 of 0, 1, 2, 3, 4",
    ),
    Case("tiff tiles", "a.tif", tiff(GREY16, tile=(16, 16)), GREY16),
    Case("tiff deflate", "a.tif", tiff(GREY16, compression="zlib", predictor=True), GREY16),
    Case("tiff lzw", "a.tif", tiff(GREY16, compression="lzw"), GREY16),
    Case(
        "tiff jpeg",
        "a.tif",
        tiff(SMOOTH, photometric="rgb", compression="jpeg"),
        SMOOTH,
        "YXC",
        atol=8,
    ),
    Case(
        "tiff turned",
        "a.tif",
        tiff(
            RGB8,
            photometric="rgb",
            resolution=(20000, 40000),
            resolutionunit="CENTIMETER",
            extratags=[(274, 3, 1, 6, True)],
        ),
        np.rot90(RGB8, -1),
        "YXC",
        (0.5e-3, 0.25e-3),
        note="orientation",
    ),
    Case("tiff thumbnail first", "a.tif", thumbnail_first, GREY16, note="largest of 2"),
    Case("tiff big-endian", "a.tif", tiff(GREY16, byteorder=">"), GREY16),
    Case("tiff big", "a.tif", tiff(GREY16, bigtiff=True), GREY16),
    Case("tiff white is 0", "a.tif", white_is_zero(8, GREY8), 255 - GREY8, note="inverted"),
    Case(
        "tiff white is 0, 4 bit",
        "a.tif",
        white_is_zero(4, FOUR_BITS),
        15 - FOUR_BITS,
        note="inverted",
    ),
    Case(
        "tiff pages",
        "a.tif",
        tiff(STACK8, photometric="minisblack"),
        STACK8,
        "ZYX",
        note="read as slices",
    ),
    Case(
        "tiff page 3",
        "a.tif",
        tiff(STACK8, photometric="minisblack"),
        STACK8[3],
        note="page 3",
        options={"page": 3},
    ),
    Case(
        "imagej",
        "a.tif",
        tiff(STACK8, imagej=True, resolution=(2, 4), metadata=IMAGEJ_STACK),
        STACK8,
        "ZYX",
        (2e-3, 0.25e-3, 0.5e-3),
    ),
    Case(
        "imagej micro",
        "a.tif",
        tiff(GREY8, imagej=True, resolution=(2, 4), metadata={"unit": "\\u00B5m"}),
        GREY8,
        spacing=(0.25e-3, 0.5e-3),
    ),
    Case(
        "imagej channels",
        "a.tif",
        tiff(STACK8[:4].reshape(2, 2, 24, 31), imagej=True, metadata={"axes": "ZCYX"}),
        STACK8[:4:2],
        "ZYX",
        note="channel 0 of 0, 1",
    ),
    Case(
        "ome",
        "a.ome.tif",
        tiff(STACK8, ome=True, metadata=OME_STACK),
        STACK8,
        "ZYX",
        (2e-3, 0.25e-3, 0.5e-3),
    ),
    Case(
        "ome channels",
        "a.ome.tif",
        tiff(STACK8[:2], ome=True, metadata={"axes": "CYX"}),
        STACK8[0],
        note="channel 0 of 0, 1",
    ),
    Case(
        "ome time",
        "a.ome.tif",
        tiff(np.stack([STACK8, STACK8 // 2]), ome=True, metadata={"axes": "TZYX"}),
        np.stack([STACK8, STACK8 // 2]),
        "TZYX",
    ),
    Case("npy", "a.npy", lambda path: np.save(path, FLOAT), FLOAT),
    Case("npy big-endian", "a.npy", lambda path: np.save(path, GREY16.astype(">u2")), GREY16),
    Case("npy bool", "a.npy", lambda path: np.save(path, GREY8 > 9), (GREY8 > 9).astype(np.uint8)),
    Case(
        "npz",
        "a.npz",
        lambda path: np.savez_compressed(path, image=STACK16, other=FLOAT),
        STACK16,
        "ZYX",
        note="'image'",
    ),
    Case("nifti", "a.nii", nifti(VOLUME), VOLUME, "XYZ", (0.5, 0.7, 1.5)),
    Case("nifti gz", "a.nii.gz", nifti(VOLUME), VOLUME, "XYZ", (0.5, 0.7, 1.5)),
    Case("nifti 2", "a.nii", nifti(VOLUME, nib.Nifti2Image), VOLUME, "XYZ", (0.5, 0.7, 1.5)),
    Case("mgh", "a.mgh", nifti(VOLUME, nib.MGHImage), VOLUME, "XYZ", (0.5, 0.7, 1.5)),
    Case("nrrd", "a.nrrd", itk(STACK16), STACK16, "ZYX", (1.5, 0.7, 0.5)),
    Case("nrrd gz", "b.nrrd", itk(STACK16, useCompression=True), STACK16, "ZYX", (1.5, 0.7, 0.5)),
    Case("metaimage", "a.mha", itk(STACK16), STACK16, "ZYX", (1.5, 0.7, 0.5)),
    Case("nifti flat", "a.nii", nifti(VOLUME[..., 0]), VOLUME[..., :1], "XYZ", (0.5, 0.7, 1.0)),
    Case(
        "nifti scaled",
        "a.nii",
        nifti(VOLUME, slope=(0.5, 3)),
        VOLUME * np.float32(0.5) + 3,
        "XYZ",
        (0.5, 0.7, 1.5),
        note="scaled by 0.5",
    ),
    Case(
        "nifti 4D",
        "a.nii.gz",
        nifti(np.stack([VOLUME, VOLUME + 1], -1)),
        VOLUME,
        "XYZ",
        (0.5, 0.7, 1.5),
        "volume 0",
    ),
    Case(
        "nifti 4D, 1",
        "a.nii",
        nifti(np.stack([VOLUME, VOLUME + 1], -1)),
        VOLUME + 1,
        "XYZ",
        (0.5, 0.7, 1.5),
        "volume 1 of 2",
        {"volume": 1},
    ),
    Case("nifti pair", "a.hdr", nifti(VOLUME, nib.Nifti1Pair), VOLUME, "XYZ", (0.5, 0.7, 1.5)),
    Case("analyze", "a.img", nifti(VOLUME, nib.Spm99AnalyzeImage), VOLUME, "XYZ", (0.5, 0.7, 1.5)),
    Case(
        "dicom", "a.dcm", dicom(STACK16[0], PixelSpacing=[0.7, 0.5]), STACK16[0], spacing=(0.7, 0.5)
    ),
    Case("dicom white is 0", "a.dcm", dicom(GREY8, "MONOCHROME1"), 255 - GREY8, note="inverted"),
    Case(
        "dicom scaled",
        "a.dcm",
        dicom(GREY16, RescaleSlope=2, RescaleIntercept=-1024),
        GREY16 * np.float32(2) - np.float32(1024),
        note="scaled by 2",
    ),
    Case(
        "dicom frames",
        "a.dcm",
        dicom(STACK8, PixelSpacing=[0.7, 0.5], SpacingBetweenSlices=2),
        STACK8,
        "ZYX",
        (2, 0.7, 0.5),
    ),
    Case(
        "dicom film",
        "a.dcm",
        dicom(STACK8, PixelSpacing=[0.7, 0.5], FrameTime=40),
        STACK8,
        "TYX",
        (0.7, 0.5),
    ),
    Case("dicom rgb", "a.dcm", dicom(SMOOTH, "RGB", 3), SMOOTH, "YXC"),
    Case(
        "dicom ybr", "a.dcm", dicom(ybr(SMOOTH), "YBR_FULL", 3), SMOOTH, "YXC", note="YBR", atol=2
    ),
    Case(
        "dicom palette",
        "a.dcm",
        dicom(FOUR_BITS, "PALETTE COLOR", **lookup_tables()),
        COLOURS[FOUR_BITS],
        "YXC",
        note="palette",
    ),
    Case("dicom series", "scan", series, STACK16, "ZYX", (1.5, 0.7, 0.5), "left out 1 other file"),
]


def named(id: str) -> Case:
    """The case with this id."""
    return next(case for case in FILES if case.id == id)
