"""What ``read_image`` takes, what it says about everything else, and the table of formats."""

import inspect
import os
import struct

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import unet_helpers as uh
from unet_helpers.images import formats
from unet_helpers.images.options import ReadOptions

GREY = np.random.default_rng(0).integers(0, 255, (24, 31), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 255, (24, 31, 3), np.uint8)


@pytest.mark.parametrize("as_path", [str, os.fspath, lambda path: path])
def test_a_path_may_be_a_string_or_an_object(as_path, tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    image = uh.read_image(as_path(tmp_path / "a.png"))
    np.testing.assert_array_equal(image.pixels, GREY)
    assert image.path == tmp_path / "a.png"


def test_the_home_folder_is_known(tmp_path, monkeypatch):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    image = uh.read_image("~/a.png")
    np.testing.assert_array_equal(image.pixels, GREY)
    assert image.path == tmp_path / "a.png"


def test_an_image_is_returned_as_it_is():
    image = uh.MedicalImage(GREY, "YX")
    assert uh.read_image(image) is image


@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_arrays_tensors_and_pictures_are_read_alike(pixels):
    from_array = uh.read_image(pixels)
    for source in (torch.from_numpy(pixels), Image.fromarray(pixels)):
        image = uh.read_image(source)
        np.testing.assert_array_equal(image.pixels, from_array.pixels)
        assert image.axes == from_array.axes
        assert image.notes == from_array.notes
        assert image.path is None
        assert image.name == "array"


def test_spacing_is_given_with_arrays_tensors_and_pictures():
    for source in (GREY, torch.from_numpy(GREY), Image.fromarray(GREY)):
        assert uh.read_image(source, spacing=0.5).spacing == (0.5, 0.5)


def test_tensors_of_any_kind():
    values = torch.linspace(0, 1, 24 * 31).reshape(24, 31)
    needs_gradient = values.clone().requires_grad_()
    np.testing.assert_array_equal(uh.read_image(needs_gradient).pixels, values.numpy())
    half = uh.read_image(values.bfloat16())
    assert half.pixels.dtype == np.float32
    np.testing.assert_allclose(half.pixels, values.numpy(), atol=0.01)
    with pytest.raises(uh.ImageError, match="The tensor"):
        uh.read_image(values.to_sparse())
    with pytest.raises(uh.ImageError, match="The tensor has the shape"):
        uh.read_image(torch.zeros(7))


def test_pictures_of_any_mode():
    palette = Image.fromarray(COLOUR).quantize(8)
    image = uh.read_image(palette)
    assert image.axes == "YXC"
    assert image.notes == ("expanded the colour palette",)
    cmyk = uh.read_image(Image.fromarray(COLOUR).convert("CMYK"))
    assert cmyk.notes == ("converted from CMYK to RGB",)
    np.testing.assert_array_equal(
        uh.read_image(Image.fromarray(GREY.astype(np.uint16) * 200)).pixels,
        GREY.astype(np.uint16) * 200,
    )


@pytest.mark.parametrize("kind", ["png", "bmp"])
def test_the_density_of_a_picture_is_its_pixel_size_where_no_printer_is_as_fine(kind, tmp_path):
    """Microscopes save PNG and BMP whose density is that of the specimen."""
    path = tmp_path / f"a.{kind}"
    picture = Image.fromarray(np.arange(80, dtype=np.uint8).reshape(8, 10))
    picture.save(path, dpi=(50800, 101600))
    assert uh.read_image(path).spacing == pytest.approx((0.25e-3, 0.5e-3), rel=1e-3)
    picture.save(path, dpi=(1200, 1200))
    assert uh.read_image(path).spacing is None


def test_the_density_of_a_jpeg_is_in_px_per_cm_or_inch(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(np.zeros((8, 10), np.uint8)).save(path)
    data = path.read_bytes()
    start = data.index(b"JFIF\0") + 7
    for unit, size in ((2, 0.5e-3), (1, 1.27e-3), (0, None)):
        density = struct.pack(">BHH", unit, 20000, 20000)
        path.write_bytes(data[:start] + density + data[start + len(density) :])
        assert uh.read_image(path).spacing == (size and pytest.approx((size, size)))


def test_a_picture_that_is_turned_keeps_the_size_of_its_pixels(tmp_path):
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((8, 10), np.uint8)).save(path, dpi=(50800, 101600), exif=exif)
    image = uh.read_image(path)
    assert image.spatial_shape == (10, 8)
    assert image.spacing == pytest.approx((0.5e-3, 0.25e-3), rel=1e-3)


def test_a_picture_of_a_closed_file_is_refused(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    picture = Image.open(tmp_path / "a.png")
    picture.close()
    with pytest.raises(uh.ImageError, match="The picture"):
        uh.read_image(picture)


@pytest.mark.parametrize(
    "source", [["a.png", "b.png"], None, 3, "https://example.org/a.png", "http://example.org/a.png"]
)
def test_what_is_not_taken_is_said(source):
    with pytest.raises(uh.ImageError, match=r"web address|is no path") as error:
        uh.read_image(source)
    assert "segment_many" in str(error.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("frame", 1.5), ("page", "1"), ("volume", [0]), ("level", 0.0), ("channel", 1.5)),
        *(("series", 2.5), ("select", 5), ("axes", 3)),
    ],
)
def test_a_choice_of_another_type_is_refused_in_words(option, value, tmp_path):
    """The reader's own errors called the file damaged, and of arrays a TypeError arose."""
    Image.fromarray(GREY).save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", GREY):
        with pytest.raises(uh.ImageError, match=rf"{option}=.*: give "):
            uh.read_image(source, **{option: value})


def test_a_choice_may_be_a_number_of_numpy():
    stack = np.stack([GREY, GREY + 1])
    np.testing.assert_array_equal(uh.read_image(stack, page=np.int64(1)).pixels, stack[1])
    assert uh.read_image(GREY, spacing=np.float32(0.5)).spacing == (0.5, 0.5)


def test_an_empty_path_is_no_folder():
    with pytest.raises(uh.ImageError, match="the path is empty"):
        uh.read_image("")


def test_misspelt_names_are_corrected(tmp_path):
    tifffile.imwrite(tmp_path / "picture.tif", GREY)
    with pytest.raises(uh.ImageError, match=r"no such file\. Did you mean 'picture.tif'"):
        uh.read_image(tmp_path / "pictrue.tif")


@pytest.mark.parametrize("inside", ["zarr.json", ".zarray"])
def test_a_zarr_store_without_an_image_is_no_folder_of_dicom(inside, tmp_path):
    pytest.importorskip("zarr", "3")
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / inside).write_text("{}")
    with pytest.raises(uh.ImageError, match=r"a Zarr store without an image|damaged or unusual"):
        uh.read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("name", "start", "words"),
    [
        ("a.czi", b"ZISRAWFILE", "not read here: Zeiss .czi: open it in Fiji.*OME-TIFF"),
        ("a.nd2", b"\xda\xce\xbe\x0a", "nd2.*OME-TIFF"),
        ("a.lif", b"\x70\0\0\0", "lif.*OME-TIFF"),
        ("a.ims", b"\x89HDF\r\n\x1a\n", "ims.*OME-TIFF"),
        ("a.pdf", b"%PDF-1.7", "PDF.*PNG"),
        ("a.vsi", b"II*\0", "vsi.*another folder.*OME-TIFF"),
        ("a.oib", b"\xd0\xcf\x11\xe0", "Olympus.*OME-TIFF"),
    ],
)
def test_formats_that_are_not_read_are_named_with_the_way_out(name, start, words, tmp_path):
    (tmp_path / name).write_bytes(start + bytes(600))
    with pytest.raises(uh.ImageError, match=words):
        uh.read_image(tmp_path / name)


@pytest.mark.parametrize(("content", "is_text"), [(b"a,b\n1,2\n", True), (b"a,b\n1,\xff\n", False)])
def test_text_is_said_to_look_like_text(content, is_text, tmp_path):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(uh.ImageError, match="no image format known here") as error:
        uh.read_image(tmp_path / "a.png")
    assert ("It looks like text." in str(error.value)) == is_text


def test_what_a_library_says_is_cut_short():
    from unet_helpers.images.read import describe

    assert describe(ValueError("two\n  words")) == "ValueError: two words"
    assert describe(ValueError()) == "ValueError"
    assert describe(ValueError("x" * 300)) == "ValueError: " + "x" * 200


def test_a_choice_beyond_a_single_picture_is_refused(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    assert uh.read_image(tmp_path / "a.png", page=0).axes == "YX"
    with pytest.raises(uh.ImageError, match="has frames 0 to 0, there is no frame 1"):
        uh.read_image(tmp_path / "a.png", page=1)


def test_all_choices_that_a_file_does_not_offer_are_named(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    with pytest.raises(uh.ImageError, match="there is no level or volume to choose"):
        uh.read_image(tmp_path / "a.npy", volume=0, level=0)


def test_the_docstring_names_every_format_that_is_read():
    words = " ".join(inspect.getdoc(uh.read_image).split())
    for row in formats.FORMATS:
        if row.read is not None and not row.known_by_ending:
            assert row.name in words


def test_a_format_is_read_or_has_advice_and_its_options_exist():
    options = inspect.signature(ReadOptions).parameters
    for row in (*formats.FORMATS, formats.FOLDER):
        assert (row.read is None) == bool(row.advice)
        assert set(row.options) <= set(options)
        assert all(ending == ending.lower() and ending[0] == "." for ending in row.endings)


@pytest.mark.parametrize("name", ["a.png", "a.NII", "a.nii.gz", "a.mgh", "a.nhdr", "b.c.czi"])
def test_names_that_promise_an_image(name, tmp_path):
    assert formats.promises_image(tmp_path / name)


@pytest.mark.parametrize("name", ["a.txt", "a.pdf", "a.h5", "png", "a"])
def test_names_that_promise_no_image(name, tmp_path):
    assert not formats.promises_image(tmp_path / name)


def test_the_table_for_the_documentation_has_a_line_a_format():
    lines = formats.formats_in_markdown().splitlines()
    assert lines[:2] == ["| format | endings | |", "|---|---|---|"]
    assert len(lines) == 2 + len(formats.FORMATS)
    assert "| DICOM | `.dcm` `.ima` | needs `pip install pydicom` |" in lines
    assert "| PNG | `.png` |  |" in lines
    assert any("Nikon .nd2 | `.nd2` | not read: Nikon .nd2: open it in Fiji" in x for x in lines)


def test_errors_name_the_formats_that_need_a_package():
    from unet_helpers.images.read import need

    assert need("pydicom") == "reading DICOM needs"
    assert need("SimpleITK") == "NRRD and MetaImage need"
    assert need("zarr") == need(None) == "it needs"
