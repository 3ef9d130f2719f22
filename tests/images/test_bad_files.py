"""Damaged, mislabelled and malicious files: an ImageError, quickly and without much memory."""

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from helpers.files import FILES, GREY8, VOLUME, named
from helpers.writers import png

import unet_helpers as uh
from unet_helpers.images.limits import MAX_VALUES

ROOT = Path(__file__).parents[2]
SINGLE = [case for case in FILES if case.name not in ("scan", "a.hdr", "a.img")]
# What is asked for, their first frame or volume, is still there.
BEGINNING = ("gif frames", "gif frame 2", "gif frame 3", "nifti 4D")
each_single = pytest.mark.parametrize("case", SINGLE, ids=lambda case: case.id)


def refused_or_read(path: Path) -> bool:
    """Is it refused? Then in the package's own words, with the file's name in them."""
    try:
        image = uh.read_image(path)
    except uh.ImageError as error:
        message = str(error)
        assert path.name in message
        assert len(message) < 700
        return True
    assert image.pixels.size
    assert image.pixels.dtype.kind in "uif"
    return False


@each_single
def test_files_cut_off_anywhere(case, tmp_path):
    """Refused wherever more than the last bytes are missing: half an image is no whole one."""
    case.write(tmp_path / case.name)
    whole = (tmp_path / case.name).read_bytes()
    cut = tmp_path / f"cut{Path(case.name).suffix}"
    for share in np.linspace(0, 1, 24, endpoint=False):
        cut.write_bytes(whole[: int(share * len(whole))])
        assert refused_or_read(cut) or share > 0.85 or case.id in BEGINNING
    cut.write_bytes(whole[:-1])
    refused_or_read(cut)


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"compression": "zlib"}], ids=str)
def test_a_tiff_whose_last_pixel_is_missing_is_said_to_be_cut_off(options, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY8, **options)
    uh.read_image(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(uh.ImageError, match=r"it is cut off\. Copy it again\."):
        uh.read_image(path)


@each_single
def test_files_with_flipped_bytes(case, tmp_path):
    """An image or an ImageError, never another error; checksums are for the format to have."""
    case.write(tmp_path / case.name)
    whole = bytearray((tmp_path / case.name).read_bytes())
    bad = tmp_path / f"bad{Path(case.name).suffix}"
    random = np.random.default_rng(zlib.crc32(case.id.encode()))
    for size in (60, 400, len(whole), len(whole)):
        for _ in range(6):
            flipped = whole.copy()
            for place in random.integers(0, min(size, len(whole)), 4):
                flipped[place] ^= random.integers(1, 256)
            bad.write_bytes(flipped)
            refused_or_read(bad)


@pytest.mark.parametrize(
    ("id", "name"),
    [
        ("png 8 bit", "a.jpg"),
        ("jpeg rgb", "a.tif"),
        ("tiff 16 bit", "a.png"),
        ("nifti", "a.png"),
        ("nifti", "a"),
        ("nifti gz", "a.nii"),
        ("nifti gz", "a.jpg"),
        ("nifti 2", "a.dcm"),
        ("dicom", "a.nii"),
        ("npy", "a.csv"),
        ("npz", "a.zip"),
        ("gif", "a.hdr"),
        ("png 8 bit", "a.IMG"),
    ],
)
def test_a_file_is_known_by_its_bytes_not_by_its_name(id, name, tmp_path):
    named(id).write(tmp_path / named(id).name)
    path = (tmp_path / named(id).name).rename(tmp_path / name)
    image = uh.read_image(path)
    assert (image.axes, image.pixels.shape) == (named(id).axes, named(id).pixels.shape)


@pytest.mark.parametrize(
    "name", ["a.png", "a.tif", "a.nii", "a.nii.gz", "a.dcm", "a.npy", "a.npz", "a.img"]
)
@pytest.mark.parametrize(
    "content", [b"patient,age\n12,34\n", b"<!DOCTYPE html><html></html>", b"\0" * 600, b""]
)
def test_what_is_no_image_is_refused_under_any_name(content, name, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert refused_or_read(tmp_path / name)


def test_files_and_folders_that_are_not_there(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").write_text("no image")
    for name, words in {
        "missing.png": "no such file",
        "empty": "not of a DICOM series",
        "notes": "not of a DICOM series",
    }.items():
        with pytest.raises(uh.ImageError, match=f"{name}.*{words}"):
            uh.read_image(tmp_path / name)


def test_half_a_pair_names_the_half_that_is_missing(tmp_path):
    nib.save(nib.Nifti1Pair(VOLUME, np.eye(4)), tmp_path / "a.hdr")
    (tmp_path / "a.img").unlink()
    with pytest.raises(uh.ImageError, match=r"a\.img.*no such file"):
        uh.read_image(tmp_path / "a.hdr")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)
def test_a_file_of_someone_else(tmp_path):
    named("png 8 bit").write(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(uh.ImageError, match="may not be read"):
        uh.read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((0, 5)),
        np.zeros((0, 5, 4)),
        np.zeros(7),
        np.zeros((2,) * 5),
        np.zeros((3, 3), complex),
        np.full((3, 3), "a"),
        np.full((3, 3, 4), "a"),
        np.full((3, 3, 4), None),
        np.zeros((3, 3), "M8[s]"),
        np.zeros((3, 3), [("r", "u1"), ("g", "u1")]),
    ],
    ids=lambda pixels: f"{pixels.shape} {pixels.dtype}",
)
def test_arrays_that_are_no_images(pixels, tmp_path):
    with pytest.raises(uh.ImageError, match="array"):
        uh.read_image(pixels)
    np.save(tmp_path / "a.npy", pixels)
    assert refused_or_read(tmp_path / "a.npy")


class CodeOnLoading:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_code_in_an_array_is_not_run(name, tmp_path):
    trace = tmp_path / "trace"
    pixels = np.array([[CodeOnLoading(trace)] * 2] * 2, dtype=object)
    save = np.save if name == "a.npy" else np.savez
    save(tmp_path / name, pixels)
    assert refused_or_read(tmp_path / name)
    assert not trace.exists()


def test_an_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    with pytest.raises(uh.ImageError, match=r"without an array\. Unpack it"):
        uh.read_image(tmp_path / "a.docx")


def npy(shape, dtype="<f8", data=b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue() + data


def zipped(path: Path, start: bytes, zeros: int) -> None:
    """``start`` and very many zeros, in a thousandth of the space."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("image.npy", "w", force_zip64=True) as file,
    ):
        file.write(start)
        for _ in range(zeros // 2**24):
            file.write(bytes(2**24))


def gzipped(path: Path, start: bytes, zeros: int) -> None:
    path.write_bytes(gzip.compress(start) + gzip.compress(bytes(2**24)) * (zeros // 2**24))


def nifti_header(*shape: int, dtype=np.float64) -> bytes:
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    return header.binaryblock + b"\0" * 4


def tiff_header(width: int, height: int, compression: int) -> bytes:
    tags = {
        256: width,
        257: height,
        258: 8,
        259: compression,
        262: 1,
        273: 8,
        277: 1,
        278: height,
        279: 1,
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4


BIG = png(np.zeros((1, 1)), 8, 0).replace(
    struct.pack(">II", 1, 1), struct.pack(">II", 200_000, 200_000), 1
)
BOMBS = {
    "promise.png": lambda path: path.write_bytes(BIG),
    "promise.gif": lambda path: path.write_bytes(b"GIF89a\xff\xff\xff\xff\xf0\0\0" + b"\0" * 100),
    "promise.bmp": lambda path: path.write_bytes(
        b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, 10**6, 10**6, 1, 24, 0, 0, 0, 0, 0, 0)
    ),
    "promise.nii": lambda path: path.write_bytes(nifti_header(30_000, 30_000, 500)),
    "promise.nii.gz": lambda path: gzipped(path, nifti_header(30_000, 30_000, 500), 2**24),
    "cut.nii": lambda path: path.write_bytes(nifti_header(512, 512, 1000)),
    "cut.nii.gz": lambda path: gzipped(path, nifti_header(512, 512, 1000), 2**24),
    "zeros.nii.gz": lambda path: gzipped(path, b"", 2**31),
    "zeros in a volume.nii.gz": lambda path: gzipped(path, nifti_header(1024, 1024, 500), 2**32),
    "promise.npy": lambda path: path.write_bytes(npy((10**6, 10**6))),
    "cut.npy": lambda path: path.write_bytes(npy((2**14, 2**15), data=bytes(1000))),
    "text.npy": lambda path: path.write_bytes(npy((2, 2), "<U100000000", data=bytes(1000))),
    "negative.npy": lambda path: path.write_bytes(npy((-3, -(10**12)), data=bytes(1000))),
    "promise.npz": lambda path: zipped(path, npy((10**6, 10**6)), 2**24),
    "zeros.npz": lambda path: zipped(path, npy((2**14, 2**13 + 2**8)), 2**30 + 2**25),
    "promise.tif": lambda path: path.write_bytes(tiff_header(2**31, 2**31, 1)),
    "cut.tif": lambda path: path.write_bytes(tiff_header(2**14, 2**15, 1)),
    "deflate.tif": lambda path: path.write_bytes(tiff_header(2**14, 2**15, 8)),
    "pipe.png": os.mkfifo,
}
WATCH = """
import json, resource, sys, time
import cv2, nibabel, pydicom, pydicom.pixels, tifffile, imagecodecs
import unet_helpers as uh
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
# The first one twice: what a reader loads is not the file's fault.
for path in sys.argv[1:2] + sys.argv[1:]:
    before, start = peak(), time.process_time()
    try:
        answer = f"read as {uh.read_image(path).pixels.shape}"
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    outcome = {"answer": answer, "seconds": time.process_time() - start, "MB": peak() - before}
    print(json.dumps({path: outcome}), flush=True)
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Each file in another process: its answer, seconds of computing and MB beyond the imports."""
    folder = tmp_path_factory.mktemp("bombs")
    outcomes = {}
    for name, write in BOMBS.items():
        write(folder / name)
    command = [sys.executable, "-W", "ignore", "-c", WATCH, *(str(folder / name) for name in BOMBS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    for line in done.stdout.splitlines():
        for path, outcome in json.loads(line).items():
            outcomes[Path(path).name] = outcome
    return outcomes


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_they_go_off(name, watched):
    """Within a second and 200 MB, in the package's own words."""
    assert name in watched, "the process ended or hung here"
    outcome = watched[name]
    assert outcome["answer"].startswith("ImageError: ")
    assert name in outcome["answer"]
    assert outcome["seconds"] < 1, outcome
    assert outcome["MB"] < 200, outcome


def test_a_large_but_honest_image_still_passes(tmp_path):
    """The limits are for bombs: an empty label map of a whole body is none."""
    values = np.zeros((512, 512, 300), np.uint8)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii.gz")
    assert uh.read_image(tmp_path / "a.nii.gz").spatial_shape == values.shape
    np.savez_compressed(tmp_path / "a.npz", values)
    assert uh.read_image(tmp_path / "a.npz").spatial_shape == values.shape
    assert GREY8.size < MAX_VALUES


def test_a_circle_of_tiff_pages_ends(tmp_path):
    """A page names itself as the next one; tifffile followed it for ever."""
    tifffile.imwrite(tmp_path / "a.tif", GREY8, photometric="minisblack", metadata=None)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        first = file.pages[0].offset
    tags, end = struct.unpack_from("<H", data, first)[0], len(data)
    struct.pack_into("<I", data, first + 2 + 12 * tags, end)
    data += struct.pack("<HHHIII", 1, 256, 3, 1, 31, end)
    (tmp_path / "a.tif").write_bytes(data)
    assert (uh.read_image(tmp_path / "a.tif").pixels == GREY8).all()
