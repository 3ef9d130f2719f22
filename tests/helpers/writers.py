"""Pixels for test files, and functions that write them in every format."""

import struct
import zlib

import nibabel as nib
import numpy as np
import tifffile
from PIL import Image

RNG = np.random.default_rng(0)
SHAPE = (24, 31)

# Noise of every depth.
GREY8 = RNG.integers(0, 256, SHAPE, np.uint8)
GREY16 = RNG.integers(0, 65536, SHAPE, np.uint16)
RGBA8 = RNG.integers(0, 256, (*SHAPE, 4), np.uint8)
RGBA16 = RNG.integers(0, 65536, (*SHAPE, 4), np.uint16)
RGB8 = RGBA8[..., :3].copy()
GREY_ALPHA16 = RGBA16[..., :2].copy()
FLOAT = RNG.normal(size=SHAPE).astype(np.float32)
STACK8 = RNG.integers(0, 256, (5, *SHAPE), np.uint8)
STACK16 = RNG.integers(-1000, 3000, (6, *SHAPE), np.int16)

# The same as NIfTI has it: x, y, z.
VOLUME = STACK16.transpose(2, 1, 0)

# Colours that a lossy format keeps nearly as they are.
SMOOTH = np.stack(np.broadcast_arrays(*np.ogrid[40:200:24j, 60:180:31j], 90), -1).astype(np.uint8)

# Values of 1, 2 and 4 bit.
ONE_BIT = GREY8 >> 7
TWO_BITS = GREY8 >> 6
FOUR_BITS = GREY8 >> 4

# Palettes of 16 colours and of 16 greys.
COLOURS = RNG.integers(0, 256, (16, 3), np.uint8)
GREYS = np.repeat(np.arange(0, 256, 17, np.uint8)[:, None], 3, 1)

# Steps of 0.5, 0.7 and 1.5 mm, x to the left.
AFFINE = np.array([[-0.5, 0, 0, 10], [0, 0.7, 0, -20], [0, 0, 1.5, 30], [0, 0, 0, 1.0]])


def itk(pixels, **options):
    """NRRD or MetaImage, by the path's ending."""
    import SimpleITK

    file = SimpleITK.GetImageFromArray(pixels)
    file.SetSpacing((0.5, 0.7, 1.5))
    return lambda path: SimpleITK.WriteImage(file, str(path), **options)


def pil(pixels, mode=None, **options):
    picture = Image.fromarray(pixels)
    return lambda path: (picture.convert(mode) if mode else picture).save(path, **options)


def frames(*pixels, **options):
    first, *others = map(Image.fromarray, pixels)
    return lambda path: first.save(path, save_all=True, append_images=others, **options)


def palette(colours, **options):
    def write(path):
        picture = Image.fromarray(FOUR_BITS)
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
    chunks = (
        png_chunk(b"IHDR", header),
        png_chunk(b"IDAT", zlib.compress(data)),
        png_chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG with its length and checksum."""
    length = struct.pack(">I", len(data))
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return length + kind + data + checksum


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
        data.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
        data.SOPInstanceUID = pydicom.uid.generate_uid()
        if pixels.ndim == 3 and samples == 1:
            data.NumberOfFrames = len(pixels)
        if samples == 3:
            data.PlanarConfiguration = 0
        data.Rows, data.Columns = pixels.shape[:2] if samples == 3 else pixels.shape[-2:]
        data.SamplesPerPixel = samples
        data.PhotometricInterpretation = photometric
        data.BitsAllocated = pixels.itemsize * 8
        data.BitsStored = data.BitsAllocated
        data.HighBit = data.BitsStored - 1
        data.PixelRepresentation = int(pixels.dtype.kind == "i")
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


def lookup_tables() -> dict:
    """The palette of colours as DICOM has it."""
    tags = {}
    for index, colour in enumerate(("Red", "Green", "Blue")):
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [16, 0, 8]
        tags[f"{colour}PaletteColorLookupTableData"] = COLOURS[:, index].tobytes()
    return tags
