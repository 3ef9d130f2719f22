"""The published network is fed as its author fed it, and answers in the image's own place.

The expected values come from a literal re-statement of the author's code in helpers/buda2019.py.
"""

from dataclasses import replace
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers import places
from helpers.buda2019 import head, literal, resize_sample_2019
from helpers.published import published_tensors

from unet_helpers.checks.view import View
from unet_helpers.images.arrays import from_array
from unet_helpers.images.image import MedicalImage
from unet_helpers.images.read import read_image
from unet_helpers.inference.prediction import predict_frames
from unet_helpers.inference.settings import Settings
from unet_helpers.networks.cards import MODELS
from unet_helpers.networks.unet import UNet, fold_batch_norm
from unet_helpers.preprocessing.buda2019 import check_volume, prepare_volume, put_back

PUBLISHED = MODELS["brain_flair_buda2019"].preprocessing
SMALL = replace(PUBLISHED, size=48)
SAMPLES = sorted((places.SAMPLES / "brain_flair").glob("*.tif"))


class Stub(torch.nn.Module):
    """A network that answers by a rule, to see where its answer ends up."""

    out_channels = 1
    in_channels = 3
    depth = 4
    engine = "torch"

    overlapping = False

    def __init__(self, rule, size=64):
        super().__init__()
        self.rule = rule
        self.inputs = []
        self.card = SimpleNamespace(
            preprocessing=replace(PUBLISHED, size=size),
            localise=None,
            instance_method="components",
            bfloat16=True,
        )

    def forward(self, x):
        self.inputs.append(x.clone())
        return self.rule(x)


def channels_first(volume) -> np.ndarray:
    """(z, 3, size, size), as the network gets it."""
    return np.ascontiguousarray(np.moveaxis(volume.pixels, -1, 1))


def predict_published(model, image, progress=False, flips=1) -> np.ndarray:
    settings = Settings(threshold=0.5, flips=flips)
    return predict_frames(model, View(image), settings, progress=progress).probabilities


# the way in


@pytest.mark.parametrize(
    "shape", [(6, 40, 31), (5, 37, 58), (5, 70, 61)], ids=["tall", "wide", "shrunk"]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_preprocessing_is_the_authors(shape, dtype):
    volume = head(shape, dtype=dtype)
    before = volume.copy()
    prepared = prepare_volume(volume, SMALL)
    expected = literal(volume, 48)
    assert channels_first(prepared).dtype == np.float32
    assert channels_first(prepared).shape == expected.shape
    np.testing.assert_allclose(channels_first(prepared), expected, atol=1e-6)
    # The author's code overwrites its input, this one must not.
    assert np.array_equal(volume, before)
    assert expected.std() == pytest.approx(1, abs=1e-3)
    assert np.unique(expected).size > 1000


def test_preprocessing_is_the_authors_where_nothing_is_dark():
    without_zero = np.random.default_rng(3).integers(100, 200, (5, 40, 40, 3)).astype(np.uint8)
    # Smaller, and larger so that resizing reaches beyond the rim.
    for size in (24, 48):
        prepared = prepare_volume(without_zero, replace(PUBLISHED, size=size))
        expected = literal(without_zero, size)
        np.testing.assert_allclose(channels_first(prepared), expected, atol=1e-6)


def test_preprocessing_is_the_authors_where_splines_fall_below_zero():
    """Fine bright stripes, as shares of 1: between them the resized values are about -0.06."""
    stripes = np.tile([0.11, 0.11, 1.0], 4)
    volume = np.broadcast_to(stripes[:, None], (3, 12, 12, 3)).copy()
    prepared = prepare_volume(volume, replace(PUBLISHED, size=20))
    np.testing.assert_allclose(channels_first(prepared), literal(volume, 20), atol=1e-6)


def test_empty_outer_slices_are_cut_off_as_in_the_original():
    volume = head((9, 40, 31))
    volume[:3] = volume[7:] = 2
    prepared = prepare_volume(volume, SMALL)
    assert prepared.slices == slice(3, 7)
    np.testing.assert_allclose(channels_first(prepared), literal(volume, 48), atol=1e-6)


def test_the_dropped_slices_do_not_set_the_threshold():
    volume = head((6, 40, 31))
    bright = volume.copy()
    bright[0] = bright[-1] = 255  # brighter than all the rest
    np.testing.assert_array_equal(
        channels_first(prepare_volume(bright, SMALL)), channels_first(prepare_volume(volume, SMALL))
    )


def test_the_authors_scikit_image_of_2019_differs_only_at_the_rim():
    volume = head((5, 60, 51))
    # Enlarged as little as 240 to 256.
    prepared = prepare_volume(volume, replace(PUBLISHED, size=64))
    difference = np.abs(channels_first(prepared) - literal(volume, 64, resized=resize_sample_2019))
    assert difference[..., 4:-4, 4:-4].max() < 0.02
    assert 0 < (difference > 0.05).mean() < 0.01


def test_a_single_image_is_a_volume_of_one_slice():
    stub = Stub(lambda x: torch.sigmoid(x[:, 1:2]), size=256)
    picture = head((5, 90, 71))[2]
    answer = predict_published(stub, from_array(picture))
    np.testing.assert_allclose(
        stub.inputs[0].numpy(), literal(picture[None], 256, drop=False), atol=1e-6
    )
    assert answer.shape == (1, 90, 71)
    assert answer.dtype == np.float32
    assert answer.max() > 0.8


def test_a_grey_image_is_read_as_all_three_channels():
    grey = head((5, 50, 41))[..., 1]
    stub = Stub(lambda x: torch.sigmoid(x[:, 1:2]))
    predict_published(stub, from_array(grey))
    expected = literal(np.repeat(grey[..., None], 3, axis=-1), 64)
    assert len(stub.inputs) == len(expected) > 1
    np.testing.assert_allclose(torch.cat(stub.inputs).numpy(), expected, atol=1e-6)


def test_the_hub_example_feeds_a_near_constant_image():
    picture = head((5, 90, 71))[2]
    pixels = picture.astype(np.float64)
    # ToTensor, then Normalize(mean=m, std=s).
    example = (pixels / 255 - pixels.mean((0, 1))) / pixels.std((0, 1))
    ours = channels_first(prepare_volume(picture[None], PUBLISHED))
    # Which is 255 times too flat.
    np.testing.assert_allclose(example.std((0, 1)), 1 / 255, rtol=1e-6)
    np.testing.assert_allclose(ours.std((0, 2, 3)), 1, atol=1e-4)


# the way back


def ramps(x):
    """(column + 0.5) / width at every pixel: bilinear interpolation keeps a straight line."""
    n, _, height, width = x.shape
    return ((torch.arange(width) + 0.5) / width).expand(n, 1, height, width).contiguous()


def ramps_down(x):
    """The same along the rows, of squares."""
    return ramps(x).transpose(2, 3).contiguous()


@pytest.mark.parametrize("turned", [False, True], ids=["columns", "rows"])
@pytest.mark.parametrize("shape", [(6, 40, 31), (4, 30, 57), (3, 300, 271)])
def test_answers_come_back_to_the_pixels_they_are_about(shape, turned):
    volume = head(shape)
    answer = predict_published(Stub(ramps_down if turned else ramps), from_array(volume))

    inner = volume[1:-1]
    bright_voxels = np.argwhere((inner >= inner.max() * 0.1).any(-1))
    first = bright_voxels.min(0)
    stop = bright_voxels.max(0) + 1
    rows = slice(first[1], stop[1])
    columns = slice(first[2], stop[2])
    # The first slice was dropped.
    slices = slice(first[0] + 1, stop[0] + 1)

    height, width = stop[1:] - first[1:]
    side = max(height, width)
    length = height if turned else width
    line = (np.arange(length) + (side - length) // 2 + 0.5) / side
    box = answer[0, slices, rows, columns]
    expected = np.broadcast_to(line[:, None] if turned else line, box.shape)
    # Beyond the outer centres of 64 px bilinear interpolation stays level.
    certain = (expected > 0.5 / 64) & (expected < 1 - 0.5 / 64)
    np.testing.assert_allclose(box[certain], expected[certain], atol=1e-5)
    assert certain.mean() > 0.9

    outside = np.ones(volume.shape[:3], bool)
    outside[slices, rows, columns] = False
    assert not answer[0][outside].any()
    assert outside[0].all()
    assert outside[-1].all()


def lesion(shape=(7, 60, 44)) -> tuple[np.ndarray, np.ndarray]:
    """A grey head with one bright block off every centre line, and the block's mask."""
    volume = np.zeros(shape, np.uint8)
    mask = np.zeros(shape, bool)
    volume[:, 5:55, 8:40] = 60
    mask[2:5, 12:24, 26:38] = True
    volume[mask] = 200
    return volume, mask


def bright(x):
    return (x[:, 1:2] > 1.0).float()


def overlap(answer: np.ndarray, mask: np.ndarray) -> float:
    found = answer[0] >= 0.5
    return 2 * (found & mask).sum() / (found.sum() + mask.sum())


def test_a_bright_block_is_found_where_it_is_in_every_kind_of_image():
    volume, mask = lesion()
    colour = np.repeat(volume[..., None], 3, axis=-1)
    cases = {
        "ZYX": (volume, mask),
        "ZYXC": (colour, mask),
        "YX": (volume[3], mask[3]),
        "YXC": (colour[3], mask[3]),
    }
    for axes, (pixels, expected) in cases.items():
        image = from_array(pixels)
        assert image.axes == axes
        answer = predict_published(Stub(bright), image)
        assert answer.shape == (1, *image.spatial_shape)
        assert overlap(answer, expected) > 0.95, axes


@pytest.mark.parametrize("order", ["RAS", "LPS", "PIR", "SLA"])
def test_nifti_volumes_are_answered_in_their_own_orientation(order):
    volume, mask = lesion()
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(tuple(order))
    )
    pixels, expected = (
        nib.orientations.apply_orientation(a.transpose(2, 1, 0), turn) for a in (volume, mask)
    )
    affine = nib.orientations.inv_ornt_aff(turn, volume.shape[::-1])
    assert "".join(nib.aff2axcodes(affine)) == order
    stub = Stub(bright)
    answer = predict_published(stub, MedicalImage(pixels, "XYZ", affine=affine))
    assert answer.shape == (1, *pixels.shape)
    assert overlap(answer, expected) > 0.95
    assert (
        len(stub.inputs) == 5
    )  # axial slices, whatever the file's order; two of seven are dropped


def test_flips_average_the_answer_over_mirrored_slices():
    volume, _ = lesion()
    right = Stub(lambda x: ramps(x))
    plain = predict_published(right, from_array(volume))
    flipped = predict_published(right, from_array(volume), progress=False, flips=4)
    assert np.ptp(plain[0, 3, 30, 8:40]) > 0.5
    assert np.ptp(flipped[0, 3, 30, 8:40]) < 1e-5


# nothing to see, and notes


def never(x):
    raise AssertionError("the network was asked about nothing")


@pytest.mark.parametrize(
    "shape",
    [(6, 40, 30, 3), (40, 30, 3), (40, 30), (6, 40, 30), (9, 8, 8), (2, 20, 20), (1, 20, 20)],
)
@pytest.mark.parametrize("value", [0, 7, -3.5, np.nan, np.inf])
def test_images_without_content_get_an_empty_answer(shape, value):
    dtype = np.uint8 if value in (0, 7) else np.float32
    image = from_array(np.full(shape, value, dtype))
    answer = predict_published(Stub(never), image)
    assert answer.shape == (1, *image.spatial_shape)
    assert not answer.any()


def test_a_volume_with_content_only_in_the_dropped_slices_is_empty():
    volume = np.zeros((5, 30, 30, 3), np.uint8)
    volume[0] = head((5, 30, 30))[2]
    assert not predict_published(Stub(never), from_array(volume)).any()


def test_nearly_empty_volumes_give_numbers_all_the_same():
    speck = np.zeros((5, 90, 90), np.float32)
    # Fewer than one pixel in a hundred: 10th and 99th percentile are equal.
    speck[2, 3, 4] = 5
    speck[2, 80, 81] = 3
    assert prepare_volume(speck[..., None], replace(PUBLISHED, size=78)) is None
    answer = predict_published(Stub(bright), from_array(speck))
    assert np.isfinite(answer).all()
    assert not answer[0, [0, 1, 3, 4]].any()


def test_values_that_are_not_finite_are_read_as_zero():
    holes = head((5, 40, 31), dtype=np.float32)
    holes[2, 10:12, 10:12] = np.nan
    filled = np.where(np.isnan(holes), 0, holes)
    np.testing.assert_array_equal(
        prepare_volume(holes, SMALL).pixels, prepare_volume(filled, SMALL).pixels
    )


def test_a_constant_channel_reads_as_zeros_and_is_noted():
    volume = head((5, 40, 31))
    volume[..., 2] = 0
    planes = channels_first(prepare_volume(volume, SMALL))
    assert np.isfinite(planes).all()
    assert not planes[:, 2].any()
    assert planes[:, 1].std() > 0.9
    assert any(
        "post-contrast channel is constant" in note for note in check_volume(from_array(volume))
    )


def test_notes_say_what_is_unlike_the_training():
    volume = head((5, 40, 31))

    def notes(pixels):
        return " | ".join(check_volume(from_array(pixels)))

    assert "first and the last slice" in notes(volume)
    assert "pre- and post-contrast" not in notes(volume)
    assert "a single slice" in notes(volume[2])
    assert "first and the last" not in notes(volume[2])
    assert "two slices only" in notes(volume[:2])
    for grey in (volume[..., 0], np.repeat(volume[..., :1], 3, axis=-1), volume[2, :, :, 0]):
        assert "pre- and post-contrast images are missing" in notes(grey)


def test_two_slices_are_both_answered():
    answer = predict_published(Stub(bright), from_array(lesion()[0][3:5]))
    assert answer[0, 0].any()
    assert answer[0, 1].any()


# as a whole


def test_the_whole_network_answers_a_picture():
    network = UNet(3, 1, 32)
    network.load_state_dict(published_tensors())
    network = fold_batch_norm(network)
    # The published size of 256 would take 16 times as long.
    network.card = SimpleNamespace(
        preprocessing=replace(PUBLISHED, size=64),
        localise=None,
        instance_method="components",
        bfloat16=True,
    )
    picture = read_image(SAMPLES[0]).pixels if SAMPLES else head((5, 90, 71))[2]
    answer = predict_published(network, from_array(picture))
    planes = torch.from_numpy(literal(picture[None], 64, drop=False))
    with torch.inference_mode():
        direct = network(planes)[0, 0].numpy()
    assert answer.shape == (1, *picture.shape[:2])
    assert np.isfinite(answer).all()
    assert answer.max() == pytest.approx(direct.max(), abs=0.02)
    assert np.ptp(direct) > 1e-3


@pytest.mark.skipif(
    not SAMPLES,
    reason="needs ../shared/samples, the sample images that a user's computer downloads",
)
def test_a_real_slice_is_read_as_three_different_channels():
    image = read_image(SAMPLES[0])
    assert image.axes == "YXC"
    assert check_volume(image)[0].startswith("a single slice")
    assert len(check_volume(image)) == 1
    prepared = prepare_volume(image.pixels[None], PUBLISHED)
    np.testing.assert_allclose(channels_first(prepared).std((0, 2, 3)), 1, atol=1e-4)
    flair = channels_first(prepared)[0, 1]
    rows, columns = prepared.rows, prepared.columns
    back = put_back(flair[None], rows, columns, image.spatial_shape)[0][rows, columns]
    stored = image.pixels[rows, columns, 1].astype(float)
    # The same picture, in the same place.
    assert np.corrcoef(back.ravel(), stored.ravel())[0, 1] > 0.98
