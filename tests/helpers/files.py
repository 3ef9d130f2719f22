"""A small file of every format, and what ``read_image`` has to make of it."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import tifffile
from PIL import Image

RANDOM = np.random.default_rng(0)
GREY8, GREY16 = (
    RANDOM.integers(0, np.iinfo(t).max, (24, 31), t, endpoint=True) for t in (np.uint8, np.uint16)
)
RGBA8, RGBA16 = (
    RANDOM.integers(0, np.iinfo(t).max, (24, 31, 4), t, endpoint=True)
    for t in (np.uint8, np.uint16)
)
FLOAT, STACK8 = (
    RANDOM.normal(size=(24, 31)).astype(np.float32),
    RANDOM.integers(0, 256, (5, 24, 31), np.uint8),
)
STACK16 = RANDOM.integers(-1000, 3000, (6, 24, 31), np.int16)
VOLUME = STACK16.transpose(2, 1, 0)
SMOOTH = np.stack(np.broadcast_arrays(*np.ogrid[40:200:24j, 60:180:31j], 90), -1).astype(np.uint8)
FOUR, BITS, TWO = GREY8 >> 4, GREY8 >> 7, GREY8 >> 6
COLOURS = RANDOM.integers(0, 256, (16, 3), np.uint8)
GREYS = np.repeat(np.arange(0, 256, 17, np.uint8)[:, None], 3, 1)
AFFINE = np.array([[-0.5, 0, 0, 10], [0, 0.7, 0, -20], [0, 0, 1.5, 30], [0, 0, 0, 1.0]])


def itk(pixels, **options):
    """NRRD or MetaImage, by the path's ending."""
    import SimpleITK

    file = SimpleITK.GetImageFromArray(pixels)
    file.SetSpacing((0.5, 0.7, 1.5))
    return lambda path: SimpleITK.WriteImage(file, str(path), **options)


@dataclass
class Case:
    """A file, and what ``read_image`` has to make of it."""

    id: str
    name: str
    write: Callable[[Path], object]
    pixels: np.ndarray
    axes: str = "YX"
    spacing: tuple | None = None
    note: str = ""  # words of a note; '' where nothing was dropped or changed
    options: dict = field(default_factory=dict)
    atol: float = 0


def pil(pixels, mode=None, **options):
    picture = Image.fromarray(pixels)
    return lambda path: (picture.convert(mode) if mode else picture).save(path, **options)


def frames(*pixels, **options):
    first, *others = map(Image.fromarray, pixels)
    return lambda path: first.save(path, save_all=True, append_images=others, **options)


def palette(colours, **options):
    def write(path):
        picture = Image.fromarray(FOUR)
        picture.putpalette(colours.tobytes())
        picture.save(path, **options)

    return write


def turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(SMOOTH).save(path, quality=95, subsampling=0, exif=exif)


def png(pixels: np.ndarray, bits: int, colour: int) -> bytes:
    """A PNG of any depth and colour type, since Pillow does not write them all."""
    rows = pixels.reshape(len(pixels), -1)
    if bits < 8:
        planes = np.unpackbits(rows[..., None].astype(np.uint8), axis=-1)[..., 8 - bits :]
        rows = np.packbits(planes.reshape(len(rows), -1), axis=1)
    data = b"".join(b"\0" + row.astype(f">u{max(bits, 8) // 8}").tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def raw_png(pixels, bits, colour):
    return lambda path: path.write_bytes(png(pixels, bits, colour))


def tiff(pixels, **options):
    return lambda path: tifffile.imwrite(path, pixels, **options)


def thumbnail_first(path):
    with tifffile.TiffWriter(path) as file:
        for pixels in (GREY16[::4, ::4], GREY16):
            file.write(pixels, photometric="minisblack", metadata=None)


def white_is_zero(bits, pixels):
    return tiff(pixels, photometric="miniswhite", bitspersample=bits)


def nifti(pixels, kind=nib.Nifti1Image, slope=None):
    def write(path):
        file = kind(pixels, AFFINE)
        if hasattr(file.header, "set_xyzt_units"):
            file.header.set_xyzt_units("mm")
        if slope:
            file.header.set_slope_inter(*slope)
        nib.save(file, path)

    return write


def dicom(pixels, photometric="MONOCHROME2", samples=1, **tags):
    """Writes pixels of (Y, X), (Y, X, 3) or (Z, Y, X) as one DICOM file."""

    def write(path):
        import pydicom

        data = pydicom.Dataset()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        data.SOPClassUID, data.SOPInstanceUID = (
            pydicom.uid.SecondaryCaptureImageStorage,
            pydicom.uid.generate_uid(),
        )
        if pixels.ndim == 3 and samples == 1:
            data.NumberOfFrames = len(pixels)
        if samples == 3:
            data.PlanarConfiguration = 0
        data.Rows, data.Columns = pixels.shape[:2] if samples == 3 else pixels.shape[-2:]
        data.SamplesPerPixel, data.PhotometricInterpretation = samples, photometric
        data.BitsAllocated = data.BitsStored = pixels.itemsize * 8
        data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(pixels.dtype.kind == "i")
        data.add_new("PixelData", "OW" if pixels.itemsize > 1 else "OB", pixels.tobytes())
        for tag, value in tags.items():
            setattr(data, tag, value)
        data.save_as(path, enforce_file_format=True)

    return write


def series(path):
    """Six slices in an order that is not theirs: 1.5 mm apart, rows 0.7 mm, columns 0.5 mm."""
    path.mkdir()
    (path / "readme.txt").write_text("no image")
    geometry = {
        "PixelSpacing": [0.7, 0.5],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "SeriesInstanceUID": "1.2.3",
    }
    for name, i in enumerate([3, 0, 5, 1, 4, 2]):
        dicom(STACK16[i], ImagePositionPatient=[-10, 20, 30 + 1.5 * i], **geometry)(
            path / f"{name}.dcm"
        )


def ybr(pixels):
    """RGB as YBR_FULL, by the formula of the DICOM standard (PS3.3 C.7.6.3.1.2)."""
    matrix = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
    return np.clip(np.round(pixels @ matrix.T + [0, 128, 128]), 0, 255).astype(np.uint8)


RED, GREEN, BLUE = (
    {
        f"{c}PaletteColorLookupTableDescriptor": [16, 0, 8],
        f"{c}PaletteColorLookupTableData": COLOURS[:, i].tobytes(),
    }
    for i, c in enumerate(("Red", "Green", "Blue"))
)
UM = {"unit": "um", "spacing": 2.0, "axes": "ZYX"}
OME = {"axes": "ZYX"} | {f"PhysicalSize{a}": s for a, s in zip("ZYX", (2.0, 0.25, 0.5))}
GA16 = np.ascontiguousarray(RGBA16[..., :2])
FILES = [
    Case("png 1 bit", "a.png", raw_png(BITS, 1, 0), BITS),
    Case("png 2 bit", "a.png", raw_png(TWO, 2, 0), TWO * 85, note="2 bit"),
    Case("png 4 bit", "a.png", raw_png(FOUR, 4, 0), FOUR * 17, note="4 bit"),
    Case("png 8 bit", "a.png", pil(GREY8), GREY8),
    Case("png 16 bit", "a.png", pil(GREY16), GREY16),
    Case("png rgb", "a.png", pil(RGBA8[..., :3].copy()), RGBA8[..., :3], "YXC"),
    Case("png rgba", "a.png", pil(RGBA8), RGBA8[..., :3], "YXC", note="alpha"),
    Case("png grey alpha", "a.png", raw_png(RGBA8[..., :2], 8, 4), RGBA8[..., 0], note="alpha"),
    Case("png grey alpha 16 bit", "a.png", raw_png(GA16, 16, 4), GA16[..., 0], note="alpha"),
    Case("png rgb 16 bit", "a.png", raw_png(RGBA16[..., :3], 16, 2), RGBA16[..., :3], "YXC"),
    Case("png rgba 16 bit", "a.png", raw_png(RGBA16, 16, 6), RGBA16[..., :3], "YXC", note="alpha"),
    Case("png palette", "a.png", palette(COLOURS), COLOURS[FOUR], "YXC", note="palette"),
    Case("png palette of greys", "a.png", palette(GREYS), FOUR * 17, note="palette"),
    Case(
        "png palette, clear",
        "a.png",
        palette(COLOURS, transparency=3),
        COLOURS[FOUR],
        "YXC",
        note="alpha",
    ),
    Case("png greys, clear", "a.png", palette(GREYS, transparency=3), FOUR * 17, note="alpha"),
    Case("jpeg grey", "a.jpg", pil(SMOOTH[..., 0], quality=95), SMOOTH[..., 0], atol=3),
    Case("jpeg rgb", "a.jpg", pil(SMOOTH, quality=95, subsampling=0), SMOOTH, "YXC", atol=4),
    Case("jpeg cmyk", "a.jpg", pil(SMOOTH, "CMYK", quality=95), SMOOTH, "YXC", note="CMYK", atol=6),
    Case("jpeg turned", "a.jpg", turned, np.rot90(SMOOTH, -1), "YXC", note="EXIF", atol=4),
    Case("bmp", "a.bmp", pil(RGBA8[..., :3].copy()), RGBA8[..., :3], "YXC"),
    Case("bmp grey", "a.bmp", pil(GREY8), GREY8),
    Case("gif", "a.gif", palette(COLOURS), COLOURS[FOUR], "YXC", note="palette"),
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
    Case("webp", "a.webp", pil(RGBA8[..., :3].copy(), lossless=True), RGBA8[..., :3], "YXC"),
    Case("webp lossy", "a.webp", pil(SMOOTH, quality=95), SMOOTH, "YXC", atol=8),
    Case("tiff 8 bit", "a.tif", tiff(GREY8), GREY8),
    Case("tiff 16 bit", "a.tif", tiff(GREY16), GREY16),
    Case("tiff int16", "a.tif", tiff(STACK16[0]), STACK16[0]),
    Case("tiff float", "a.tif", tiff(FLOAT), FLOAT),
    Case("tiff rgb", "a.tif", tiff(RGBA8[..., :3], photometric="rgb"), RGBA8[..., :3], "YXC"),
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
        tiff(RGBA8[..., :3].transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
        RGBA8[..., :3],
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
            RGBA8[..., :3],
            photometric="rgb",
            resolution=(20000, 40000),
            resolutionunit="CENTIMETER",
            extratags=[(274, 3, 1, 6, True)],
        ),
        np.rot90(RGBA8[..., :3], -1),
        "YXC",
        (0.5e-3, 0.25e-3),
        note="orientation",
    ),
    Case("tiff thumbnail first", "a.tif", thumbnail_first, GREY16, note="largest of 2"),
    Case("tiff big-endian", "a.tif", tiff(GREY16, byteorder=">"), GREY16),
    Case("tiff big", "a.tif", tiff(GREY16, bigtiff=True), GREY16),
    Case("tiff white is 0", "a.tif", white_is_zero(8, GREY8), 255 - GREY8, note="inverted"),
    Case("tiff white is 0, 4 bit", "a.tif", white_is_zero(4, FOUR), 15 - FOUR, note="inverted"),
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
        tiff(STACK8, imagej=True, resolution=(2, 4), metadata=UM),
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
        tiff(STACK8, ome=True, metadata=OME),
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
        dicom(FOUR, "PALETTE COLOR", **RED, **GREEN, **BLUE),
        COLOURS[FOUR],
        "YXC",
        note="palette",
    ),
    Case("dicom series", "scan", series, STACK16, "ZYX", (1.5, 0.7, 0.5), "left out 1 other file"),
]


def named(id: str) -> Case:
    return next(case for case in FILES if case.id == id)
