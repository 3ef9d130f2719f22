"""DICOM files in a page, compressed in the ways that hospitals use; see ``test_page``."""

import numpy as np
import pytest
from helpers.live_pages import MARKS, give, opened, small_network
from helpers.writers import dicom
from PIL import Image
from pydicom import dcmread, uid
from pydicom.encaps import encapsulate
from web.test_page import MOST_DIFFERENT, mask_of

import unet_helpers as uh

pytestmark = MARKS
codecs = pytest.importorskip("imagecodecs")
pytest.importorskip("onnxscript")

CELLS = np.asarray(Image.open(uh.sample("fluorescence")))[:200, :240]
GREY = CELLS.astype(np.uint16) * 3
COLOURS = np.stack([CELLS, CELLS // 2, CELLS], axis=-1)


def compressed(path, pixels, syntax, encode=None, photometric=None) -> None:
    """Write a DICOM file of one frame; without a function pydicom compresses it."""
    samples = 3 if pixels.ndim == 3 else 1
    dicom(pixels, "RGB" if samples == 3 else "MONOCHROME2", samples)(path)
    data = dcmread(path)
    if encode is None:
        data.compress(syntax)
    else:
        data.PixelData = encapsulate([encode(pixels)])
        data["PixelData"].is_undefined_length = True
        data.file_meta.TransferSyntaxUID = syntax
    if photometric:
        data.PhotometricInterpretation = photometric
    data.save_as(path, enforce_file_format=True)


def jpeg_2000(pixels) -> bytes:
    return codecs.jpeg2k_encode(pixels, level=0, codecformat="j2k")


def baseline(pixels) -> bytes:
    return codecs.jpeg8_encode(pixels, level=100)


FILES = {
    "runs": (GREY, uid.RLELossless),
    "runs of colours": (COLOURS, uid.RLELossless),
    "lossless": (GREY, uid.JPEGLosslessSV1, codecs.ljpeg_encode),
    "2000": (GREY, uid.JPEG2000Lossless, jpeg_2000),
    "2000 of colours": (COLOURS, uid.JPEG2000Lossless, jpeg_2000, "YBR_RCT"),
    "baseline": (CELLS, uid.JPEGBaseline8Bit, baseline),
}


def test_compressed_dicom_has_the_labels_of_its_pixels(browser, pages, tmp_path):
    page = opened(browser, pages("small"))
    for name, (pixels, *how) in FILES.items():
        path = tmp_path / f"{name}.dcm"
        compressed(path, pixels, *how)
        assert give(page, path).startswith("Answered in"), name
        expected = uh.segment(pixels, small_network(), zoom=1, progress=False).labels
        assert len(np.unique(expected)) > 1
        assert np.mean(mask_of(page) != expected) < MOST_DIFFERENT, name
    assert page.faults == []


def test_what_cannot_be_read_of_dicom_is_said(browser, pages, tmp_path):
    short = ("short.dcm", lambda p: jpeg_2000(p)[:300], uid.JPEG2000Lossless, "end is missing")
    other = ("other.dcm", jpeg_2000, uid.JPEGLSLossless, "save it as TIFF")
    smaller = ("smaller.dcm", lambda p: jpeg_2000(p[:50]), uid.JPEG2000Lossless, "end is missing")
    page = opened(browser, pages("small"))
    for name, encode, syntax, sentence in (short, other, smaller):
        compressed(tmp_path / name, GREY, syntax, encode)
        status = give(page, tmp_path / name)
        assert status.startswith(f"{name}: ")
        assert sentence in status

    for name, (pixels, *how) in FILES.items():
        path = tmp_path / "cut.dcm"
        compressed(path, pixels, *how)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert give(page, path).startswith("cut.dcm: "), name

    dicom(COLOURS, "YBR_FULL", 3)(tmp_path / "ybr.dcm")
    assert "YBR_FULL" in give(page, tmp_path / "ybr.dcm")
    assert page.faults == []
