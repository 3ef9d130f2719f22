"""Every format: values, dtype, axes, spacing and notes as written; labels come back as saved."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.files import FILES, GREY16, SMOOTH, named
from helpers.networks import make_network

import unet_helpers as uh

each_file = pytest.mark.parametrize("case", FILES, ids=lambda case: case.id)


@each_file
def test_a_file_is_read_as_it_was_written(case, tmp_path):
    """Values, dtype, axes, spacing; a note exactly where something was dropped or changed."""
    case.write(tmp_path / case.name)
    image = uh.read_image(tmp_path / case.name, **case.options)
    assert (image.axes, image.pixels.shape, image.pixels.dtype) == (
        case.axes,
        case.pixels.shape,
        case.pixels.dtype,
    )
    np.testing.assert_allclose(
        image.pixels.astype(float), case.pixels.astype(float), rtol=0, atol=case.atol
    )
    assert image.spacing == (case.spacing and pytest.approx(case.spacing, rel=1e-6))
    assert case.note in "; ".join(image.notes)
    assert bool(image.notes) == bool(case.note)
    assert image.path == tmp_path / case.name
    assert image.pixels.dtype.isnative


@each_file
def test_saved_labels_come_back(case, tmp_path):
    """Same voxels in the same place; a DICOM series comes back as NIfTI, whose axes run x, y, z."""
    case.write(tmp_path / case.name)
    image = uh.read_image(tmp_path / case.name, **case.options)
    result = uh.segment(image, make_network(), progress=False)
    result = replace(result, threshold=float(np.median(result.probabilities)))
    assert len(np.unique(result.labels)) == 2
    saved = uh.read_image(result.save(tmp_path / "out")["labels"])
    lies_in_space = image.affine is not None
    turned = lies_in_space and image.axes == "ZYX"
    np.testing.assert_array_equal(saved.pixels.T if turned else saved.pixels, result.labels)
    spacing = image.spacing[::-1] if turned else image.spacing
    assert saved.spacing == (spacing and pytest.approx(spacing, rel=1e-6))
    assert saved.axes.rstrip("C") == ("XYZ" if lies_in_space else image.axes.rstrip("C"))
    if lies_in_space:
        np.testing.assert_allclose(saved.affine, image.affine, atol=1e-5)


def written(id: str, folder: Path) -> Path:
    path = folder / named(id).name
    named(id).write(path)
    return path


@pytest.mark.parametrize("page", [-1, 5])
@pytest.mark.parametrize(
    ("id", "words"), [("tiff pages", "pages 0 to 4"), ("gif frames", "frames 0 to 4")]
)
def test_a_page_that_is_not_there_is_refused(id, words, page, tmp_path):
    path = written(id, tmp_path)
    with pytest.raises(uh.ImageError, match=words):
        uh.read_image(path, page=page)


@pytest.mark.parametrize("id", ["dicom", "dicom series"])
def test_without_pydicom_the_error_says_what_to_install(id, tmp_path, monkeypatch):
    path = written(id, tmp_path)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(uh.ImageError, match="pip install pydicom"):
        uh.read_image(path)


def test_without_imagecodecs_the_error_says_what_to_install(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", GREY16, compression="lzw")
    tifffile.imwrite(tmp_path / "b.tif", SMOOTH, photometric="rgb", compression="jpeg")
    tifffile.imwrite(tmp_path / "c.tif", GREY16, compression="zstd")
    tifffile.imwrite(tmp_path / "d.tif", GREY16, compression="jpeg2000")
    for name in [name for name in sys.modules if name.split(".")[0] in ("tifffile", "imagecodecs")]:
        monkeypatch.delitem(sys.modules, name)  # tifffile looks for it once, when it is imported
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    for name in "acd":
        with pytest.raises(uh.ImageError, match="pip install imagecodecs"):
            uh.read_image(tmp_path / f"{name}.tif")
    assert (
        np.abs(uh.read_image(tmp_path / "b.tif").pixels - SMOOTH.astype(int)).max() <= 8
    )  # Pillow knows JPEG


def test_a_choice_that_a_file_does_not_offer_is_refused_and_not_ignored(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, GREY16)
    for options in ({"channel": 1}, {"volume": 2}, {"series": "1"}, {"frame": 0}):
        with pytest.raises(uh.ImageError, match=f"no {next(iter(options))} to choose"):
            uh.read_image(path, **options)
