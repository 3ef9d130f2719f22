"""Axes of arrays are named or guessed, and what an image does not have is refused."""

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

import unet_helpers as uh
from unet_helpers.images.lazy import open_lazily

RNG = np.random.default_rng(0)
CHANNELS = RNG.integers(0, 4000, (5, 64, 48), np.uint16)
CHANNELS_LAST = np.moveaxis(CHANNELS, 0, -1)
COLOUR = RNG.integers(0, 255, (64, 48, 3), np.uint8)


@pytest.mark.parametrize("shape", [(64, 48, 2), (64, 48, 5), (512, 512, 31), (300, 400, 40)])
def test_a_last_axis_that_is_too_short_for_a_picture_is_asked_about(shape):
    with pytest.raises(uh.ImageError, match=r"channels or slices\? .*channel=0 to .*axes='YXC'"):
        uh.read_image(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((5, 64, 48), "ZYX"),
        ((2, 64, 48), "ZYX"),
        ((64, 48, 3), "YXC"),
        ((64, 48, 1), "YX"),
        ((180, 200, 60), "ZYX"),
        ((9, 64, 48, 3), "ZYXC"),
    ],
)
def test_other_shapes_are_read_as_before(shape, axes):
    assert uh.read_image(RNG.integers(0, 255, shape, np.uint8)).axes == axes


def test_a_channel_along_the_last_axis_is_taken():
    image = uh.read_image(CHANNELS_LAST, channel=3)
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.pixels, CHANNELS[3])
    assert "took channel 3 of 0, 1, 2, 3, 4" in image.notes[0]
    np.testing.assert_array_equal(image.all_channels, CHANNELS)


def test_axes_are_named_in_any_order():
    movie = np.stack([CHANNELS, CHANNELS[::-1]])
    image = uh.read_image(movie, axes="TCYX", channel=1)
    assert image.axes == "TYX"
    np.testing.assert_array_equal(image.pixels, movie[:, 1])
    frame = uh.read_image(movie, axes="tcyx", channel=1, frame=1)
    np.testing.assert_array_equal(frame.pixels, CHANNELS[3])
    volume = uh.read_image(CHANNELS_LAST, axes="XYZ")
    assert volume.axes == "XYZ"
    slices = uh.read_image(CHANNELS_LAST, axes="YXZ")
    np.testing.assert_array_equal(slices.pixels, CHANNELS)


@pytest.mark.parametrize("axes", ["YX", "ZZYX", "CZYX", "ABC", "CYZ"])
def test_letters_that_do_not_fit_are_refused(axes):
    with pytest.raises(uh.ImageError, match=r"does not fit the shape \(5, 64, 48\)"):
        uh.read_image(CHANNELS, axes=axes)


def test_files_of_numpy_are_asked_about_as_arrays_are(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, CHANNELS_LAST)
    with pytest.raises(uh.ImageError, match=r"a\.npy has the shape"):
        uh.read_image(path)
    np.testing.assert_array_equal(uh.read_image(path, channel=2).pixels, CHANNELS[2])


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        (CHANNELS[0], {"channel": 1}, "no channel to choose"),
        (CHANNELS[0], {"page": 1}, "no page to choose"),
        (CHANNELS, {"channel": 1}, "without channels"),
        (CHANNELS, {"frame": 1}, "no frame to choose"),
        (CHANNELS, {"page": 5}, "pages 0 to 4, there is no page 5"),
        (COLOUR, {"page": 1}, "no page to choose"),
        (COLOUR, {"level": 1}, "no level to choose"),
        (COLOUR, {"channel": "DAPI"}, "of colours, red, green or blue"),
        (Image.fromarray(COLOUR), {"volume": 1}, "no volume to choose"),
        (Image.fromarray(COLOUR), {"page": 1}, "no page 1"),
        (uh.MedicalImage(CHANNELS[0], "YX"), {"channel": 1}, "no channel 1"),
        (uh.MedicalImage(CHANNELS[0], "YX"), {"series": "a"}, "no series to choose"),
        (uh.MedicalImage(CHANNELS, "XYZ"), {"page": 1}, "no page to choose in a volume"),
    ],
)
def test_options_that_an_image_in_memory_does_not_know_are_refused(source, options, words):
    with pytest.raises(uh.ImageError, match=words):
        uh.read_image(source, **options)


def test_a_part_of_an_image_that_was_read_is_taken():
    stack = uh.read_image(CHANNELS, spacing=(2.0, 0.5, 0.5))
    page = uh.read_image(stack, page=2)
    np.testing.assert_array_equal(page.pixels, CHANNELS[2])
    assert page.spacing == (0.5, 0.5)
    green = uh.read_image(uh.read_image(COLOUR), channel="green")
    np.testing.assert_array_equal(green.pixels, COLOUR[..., 1])
    other = uh.read_image(uh.read_image(CHANNELS_LAST, channel=3), channel=1)
    np.testing.assert_array_equal(other.pixels, CHANNELS[1])


@pytest.mark.parametrize("read", [uh.read_image, open_lazily])
def test_a_page_of_a_file_of_channels_is_refused_with_what_it_has(read, tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, CHANNELS, photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(uh.ImageError, match=r"no page 1; it has 5 channels: choose with channel="):
        read(path, page=1)


@pytest.mark.parametrize("read", [uh.read_image, open_lazily])
@pytest.mark.parametrize("options", [{"page": 7}, {"frame": 2}, {"channel": 3}, {"level": 1}])
def test_what_a_file_of_one_page_does_not_have_is_refused(read, options, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", CHANNELS[0])
    (option,) = options
    with pytest.raises(uh.ImageError, match=f"no {option} {options[option]}"):
        read(tmp_path / "a.tif", **options)


def test_a_file_of_one_page_has_the_first_of_everything(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", CHANNELS[0])
    image = uh.read_image(tmp_path / "a.tif", page=0, frame=0, channel=0, level=0, series=0)
    np.testing.assert_array_equal(image.pixels, CHANNELS[0])


def test_a_volume_of_a_file_with_one_is_refused(tmp_path):
    nib.save(nib.Nifti1Image(CHANNELS, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(uh.ImageError, match="volumes 0 to 0, there is no volume 1"):
        uh.read_image(tmp_path / "a.nii", volume=1)
    assert uh.read_image(tmp_path / "a.nii", volume=0).axes == "XYZ"


def test_frame_and_page_of_a_picture_are_not_both_its_frames(tmp_path):
    frames = [Image.fromarray(channel.astype(np.uint8)) for channel in CHANNELS]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(uh.ImageError, match="no page 2"):
        uh.read_image(tmp_path / "a.gif", frame=1, page=2)
