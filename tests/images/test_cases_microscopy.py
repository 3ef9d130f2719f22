"""Microscopy files that people bring: channels, time, single live colours, spacing, formats that are named."""

import cv2
import numpy as np
import pytest
import tifffile

import unet_helpers as uh
from unet_helpers.preprocessing.prepare import prepare

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 4000, (40, 50), np.uint16)
IMAGE = (1000 + 900 * np.sin(np.arange(40)[:, None] / 6) * np.cos(np.arange(50) / 7)).astype(
    np.uint16
)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_m1_channels_are_channels(count, kind, tmp_path):
    pixels = np.stack([NOISE] * (count - 1) + [IMAGE])
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels,
        photometric="minisblack",
        metadata={"axes": "CYX"},
        **{kind: True},
    )
    image = uh.read_image(tmp_path / "a.tif")
    assert image.axes == "YX"
    assert (image.pixels == NOISE).all()
    assert "took channel 0 of 0, 1" in image.notes[0]
    assert f"channel {count - 1} has clearly more" in image.notes[1]
    assert (uh.read_image(tmp_path / "a.tif", channel=count - 1).pixels == IMAGE).all()
    with pytest.raises(uh.ImageError, match="no channel 9"):
        uh.read_image(tmp_path / "a.tif", channel=9)


def test_m1_a_channel_by_its_name(tmp_path):
    metadata = {"axes": "CYX", "Channel": {"Name": ["FITC", "DAPI nuclei"]}}
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        np.stack([NOISE, IMAGE]),
        photometric="minisblack",
        metadata=metadata,
    )
    for name in ("dapi", "DAPI nuclei", "1"):
        assert (uh.read_image(tmp_path / "a.ome.tif", channel=name).pixels == IMAGE).all()
    with pytest.raises(uh.ImageError, match="FITC, DAPI nuclei"):
        uh.read_image(tmp_path / "a.ome.tif", channel="GFP")


@pytest.mark.parametrize("ground", [0, 28])
@pytest.mark.parametrize("colour", [0, 1, 2])
def test_m2_one_live_colour_is_grey(colour, ground, tmp_path):
    pixels = np.full((40, 50, 3), ground, np.uint8)
    pixels[..., colour] = IMAGE >> 3
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    image = uh.read_image(tmp_path / "a.tif")
    assert image.axes == "YX"
    assert (image.pixels == IMAGE >> 3).all()
    assert "read as grey" in image.notes[-1]


SPOTS = np.zeros((120, 160), np.uint8)
for place in np.random.default_rng(1).integers(12, 108, (14, 2)):
    cv2.circle(SPOTS, tuple(map(int, place)), 8, 200, -1)
SPOTS = cv2.GaussianBlur(SPOTS, (0, 0), 2)


@pytest.mark.parametrize("quality", [0, 95, 80])
@pytest.mark.parametrize("hue", [(0, 0, 1), (0, 0.25, 1), (0, 0.7, 1), (1, 0.2, 0.2)], ids=str)
def test_m2_a_picture_of_one_dye_is_grey_whatever_its_hue_and_as_jpeg(hue, quality, tmp_path):
    pixels = (SPOTS[..., None] * np.array(hue)).astype(np.uint8)
    path, options = (
        tmp_path / ("a.jpg" if quality else "a.png"),
        [cv2.IMWRITE_JPEG_QUALITY, quality] * bool(quality),
    )
    cv2.imwrite(str(path), pixels[..., ::-1], options)
    image = uh.read_image(path)
    assert image.axes == "YX"
    assert "of one hue" in image.notes[-1]
    assert np.abs(image.pixels.astype(int) - SPOTS).mean() < (4 if quality else 0.5)


def test_m2_several_dyes_and_light_grounds_stay_in_colour_and_channel_picks_one(tmp_path):
    pixels = np.dstack([np.roll(SPOTS, 40, 1), SPOTS // 2, SPOTS])
    for name, shown in (
        ("dyes.png", pixels),
        ("light.png", 255 - (SPOTS[..., None] * np.array((0.2, 0.6, 1)))),
    ):
        cv2.imwrite(str(tmp_path / name), shown[..., ::-1].astype(np.uint8))
        assert uh.read_image(tmp_path / name).axes == "YXC"
    tifffile.imwrite(tmp_path / "dyes.tif", pixels, photometric="rgb")
    for path in (tmp_path / "dyes.png", tmp_path / "dyes.tif"):
        for channel in ("red", 0, "Red"):
            np.testing.assert_array_equal(
                uh.read_image(path, channel=channel).pixels, pixels[..., 0]
            )
        with pytest.raises(
            uh.ImageError, match="no channel 'infrared' to choose; of colours, red, green or blue"
        ):
            uh.read_image(path, channel="infrared")
    cv2.imwrite(str(tmp_path / "grey.png"), SPOTS)
    with pytest.raises(uh.ImageError, match="no channel 1 to choose"):
        uh.read_image(tmp_path / "grey.png", channel=1)


def test_m2_colours_on_a_dark_ground_are_seen_by_their_brightest():
    """The network has learnt glowing nuclei from grey images; brightfield keeps its colours."""
    preprocessing = uh.MODELS["nuclei"].preprocessing
    dark = np.dstack([np.roll(SPOTS, 40, 1), SPOTS // 2, SPOTS])
    (seen,) = prepare(dark[None], preprocessing, dark.shape[:2])
    np.testing.assert_array_equal(seen.pixels, dark.max(-1))
    (seen,) = prepare(255 - dark[None], preprocessing, dark.shape[:2])
    assert seen.pixels.shape == dark.shape


def test_m1_a_nuclear_dye_is_taken_first(tmp_path):
    metadata = {"axes": "CYX", "Channel": {"Name": ["Actin", "DAPI"]}}
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        np.stack([NOISE, IMAGE]),
        photometric="minisblack",
        metadata=metadata,
    )
    image = uh.read_image(tmp_path / "a.ome.tif")
    assert (image.pixels == IMAGE).all()
    assert "took channel 1 (DAPI) of 0 (Actin), 1 (DAPI)" in image.notes[0]


def test_pages_that_say_nothing_are_slices_and_a_note_says_so(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", np.stack([IMAGE, NOISE]), photometric="minisblack", metadata=None
    )
    image = uh.read_image(tmp_path / "a.tif")
    assert image.axes == "ZYX"
    assert any("2 pages read as slices" in note for note in image.notes)
    assert (uh.read_image(tmp_path / "a.tif", page=1).pixels == NOISE).all()


def test_m3_time_is_not_depth(tmp_path):
    pixels = np.stack([np.roll(IMAGE, 5 * i, 0) for i in range(6)])
    metadata = {"axes": "TYX", "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, resolution=(4, 4), metadata=metadata)
    image = uh.read_image(tmp_path / "a.tif")
    assert image.axes == "TYX"
    assert image.spacing == pytest.approx((0.25e-3, 0.25e-3))
    assert (image.pixels == pixels).all()
    assert (uh.read_image(tmp_path / "a.tif", frame=2).pixels == pixels[2]).all()
    with pytest.raises(uh.ImageError, match="frames 0 to 5"):
        uh.read_image(tmp_path / "a.tif", frame=6)
    both = RANDOM.integers(0, 99, (2, 3, 2, 40, 50), np.uint16)
    tifffile.imwrite(tmp_path / "b.tif", both, imagej=True, metadata={"axes": "TZCYX"})
    image = uh.read_image(tmp_path / "b.tif", channel=1)
    assert image.axes == "TZYX"
    assert (image.pixels == both[:, :, 1]).all()


@pytest.mark.parametrize("unit", ["um", "micron", "microns", "\\u00B5m", "micrometer", "nm"])
def test_m8_imagej_units(unit, tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", IMAGE, imagej=True, resolution=(2, 2), metadata={"unit": unit}
    )
    assert uh.read_image(tmp_path / "a.tif").spacing == pytest.approx(
        (0.5e-6 if unit == "nm" else 0.5e-3,) * 2
    )


def test_m8_centimetres_aperio_and_by_hand(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", IMAGE, resolution=(20000, 20000), resolutionunit="CENTIMETER"
    )
    assert uh.read_image(tmp_path / "a.tif").spacing == pytest.approx((0.5e-3, 0.5e-3))
    tifffile.imwrite(
        tmp_path / "b.tif", IMAGE, resolution=(118, 118), resolutionunit="CENTIMETER"
    )  # 300 dpi
    assert uh.read_image(tmp_path / "b.tif").spacing is None
    tifffile.imwrite(
        tmp_path / "c.tif", IMAGE, description="Aperio Image|AppMag = 40|MPP = 0.25", metadata=None
    )
    assert uh.read_image(tmp_path / "c.tif").spacing == pytest.approx((0.25e-3, 0.25e-3))
    assert uh.read_image(tmp_path / "b.tif", spacing=0.001).spacing == (0.001, 0.001)
    assert uh.read_image(tmp_path / "b.tif", spacing=(0.001, 0.002)).spacing == (0.001, 0.002)
    with pytest.raises(uh.ImageError, match="spacing="):
        uh.read_image(tmp_path / "b.tif", spacing=-1)


@pytest.mark.parametrize(
    ("name", "start", "words"),
    [
        ("a.czi", b"ZISRAWFILE", "czi.*OME-TIFF"),
        ("a.nd2", b"\xda\xce\xbe\x0a", "nd2.*OME-TIFF"),
        ("a.lif", b"\x70\0\0\0", "lif.*OME-TIFF"),
        ("a.ims", b"\x89HDF\r\n\x1a\n", "ims.*OME-TIFF"),
        ("a.pdf", b"%PDF-1.7", "PDF.*PNG"),
        ("a.vsi", b"II*\0", "vsi.*another folder.*OME-TIFF"),
        ("a.oib", b"\xd0\xcf\x11\xe0", "Olympus.*OME-TIFF"),
    ],
)
def test_m11_c6_formats_are_named_with_the_way_out(name, start, words, tmp_path):
    (tmp_path / name).write_bytes(start + bytes(600))
    with pytest.raises(uh.ImageError, match=words):
        uh.read_image(tmp_path / name)


@pytest.mark.parametrize("inside", ["zarr.json", ".zgroup", ".zarray"])
def test_m11_a_zarr_store_is_no_folder_of_dicom(inside, tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / inside).write_text("{}")
    with pytest.raises(uh.ImageError, match="a Zarr store.*segment_large"):
        uh.read_image(tmp_path / "a.zarr")


def test_c6_misspelt_files_and_lists(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "picture.tif", IMAGE)
    with pytest.raises(uh.ImageError, match="Did you mean picture.tif"):
        uh.read_image(tmp_path / "pictrue.tif")
    for several in (["a.png", "b.png"], "https://example.org/a.png"):
        with pytest.raises(uh.ImageError, match="segment_many"):
            uh.read_image(several)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (uh.read_image("~/picture.tif").pixels == IMAGE).all()


def test_m11_a_level_of_a_slide(tmp_path, monkeypatch):
    """The finest level that is small enough is taken, or the one asked for; a coarse px is larger."""
    slide = np.random.default_rng(0).integers(0, 255, (256, 384, 3), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.svs") as file:
        aperio = (
            "Aperio Image Library v11.2.1\r\n384x256 [0,0 384x256] (64x64)|AppMag = 40|MPP = 0.25"
        )
        options = {"photometric": "rgb", "metadata": None, "description": aperio, "software": False}
        file.write(slide, tile=(64, 64), **options)
        file.write(slide[::8, ::8], **options)  # the thumbnail, which is no level
        file.write(slide[::4, ::4], tile=(64, 64), **options)
    fine, coarse = (uh.read_image(tmp_path / "a.svs", level=level) for level in (0, 1))
    assert (fine.pixels == slide).all()
    assert (coarse.pixels == slide[::4, ::4]).all()
    assert fine.spacing == pytest.approx((0.25e-3,) * 2)
    assert coarse.spacing == pytest.approx((1e-3,) * 2)
    assert uh.read_image(tmp_path / "a.svs").spacing == fine.spacing
    monkeypatch.setattr("unet_helpers.images.limits.MAX_VALUES", slide.size // 2)
    image = uh.read_image(tmp_path / "a.svs")
    assert image.pixels.shape == (64, 96, 3)
    assert "took level 1 of 0 (384 px wide), 1 (96 px wide)" in image.notes[0]
    with pytest.raises(uh.ImageError, match="levels 0 to 1"):
        uh.read_image(tmp_path / "a.svs", level=2)


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_tiff_of_a_camera_is_turned_as_its_orientation_says(turn, tmp_path):
    """As Pillow turns a JPEG with the same number."""
    from PIL import Image, ImageOps

    pixels = RANDOM.integers(0, 255, (6, 9, 3), np.uint8)
    tag = [(274, 3, 1, turn, True)]
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric="rgb", resolution=(2, 4), extratags=tag
    )
    with Image.open(tmp_path / "a.tif") as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    image = uh.read_image(tmp_path / "a.tif")
    assert (image.pixels == expected).all()
    assert bool(image.notes) == (turn > 1)


def test_a_choice_beyond_a_single_picture_is_refused(tmp_path):
    from PIL import Image

    Image.fromarray(NOISE.astype(np.uint8)).save(tmp_path / "a.png")
    assert uh.read_image(tmp_path / "a.png", page=0).axes == "YX"
    with pytest.raises(uh.ImageError, match="there is no frame 3"):
        uh.read_image(tmp_path / "a.png", page=3)


def test_an_array_with_three_colours_first_is_said_to_be_slices():
    assert "3 slices" in uh.read_image(np.stack([NOISE] * 3)).notes[0]
    assert not uh.read_image(np.stack([NOISE] * 3, -1)).notes
