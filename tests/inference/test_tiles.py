"""Tiling: the blend sums to one, agrees with the untiled answer and with MONAI, and flips are undone."""

import numpy as np
import pytest
import torch
from helpers.networks import make_network

from unet_helpers import load_model, read_image
from unet_helpers.inference import tiles
from unet_helpers.inference.scale import working_shape
from unet_helpers.inference.tiles import averaged, spans
from unet_helpers.inference.tiles import predict as add_prediction
from unet_helpers.preprocessing.prepare import prepare
from unet_helpers.preprocessing.slices import Prepared


def predict(model, prepared, shape, **options) -> np.ndarray:
    out = np.zeros((model.out_channels, *shape), np.float32)
    add_prediction(model, prepared, out, **options)
    return out


@pytest.mark.parametrize(
    ("length", "tile", "overlap"),
    [(100, 40, 10), (1, 40, 10), (40, 40, 10), (41, 40, 39), (977, 256, 64)],
)
def test_shares_sum_to_one_and_tiles_stay_within_their_size(length, tile, overlap):
    total = np.zeros(length)
    for where, share in spans(length, tile, overlap):
        assert len(share) == where.stop - where.start <= tile
        total[where] += share
    np.testing.assert_allclose(total, 1, atol=1e-5)


def test_tiles_start_where_the_network_pools():
    places = [where for where, _ in spans(3001, 512, 64, 16)]
    assert all(where.start % 16 == 0 and where.stop - where.start <= 512 for where in places)
    assert places[0].start == 0
    assert places[-1].stop == 3001
    assert len({where.stop - where.start for where in places[:-1]}) == 1  # of one size
    assert all(after.start <= before.stop - 64 for before, after in zip(places, places[1:]))


@pytest.fixture(scope="module")
def photograph():
    """The prepared retina at working scale, and its answer in one piece."""
    model = load_model("retinal_vessels")
    image = read_image("sample_images/retina.jpg")
    prepared = prepare(
        image.pixels[None], model.card.preprocessing, working_shape(model, image.pixels)
    )[0]
    crop = (slice(200, 712), slice(200, 712))
    prepared = Prepared(prepared.pixels[crop])
    return model, prepared, predict(model, prepared, (512, 512), tile=4096)


def test_tiled_equals_untiled_and_shows_no_seams(photograph):
    model, prepared, whole = photograph
    tiled = predict(model, prepared, (512, 512), tile=384, overlap=256)
    difference = np.abs(tiled - whole)[0]
    assert difference.mean() < 1e-3
    seams = [where.start for where, _ in spans(512, 384, 256, 16)][1:] + [384]
    at_seams = np.concatenate([difference[:, s - 2 : s + 2].ravel() for s in seams])
    assert at_seams.mean() < 1e-3
    rough = predict(model, prepared, (512, 512), tile=128, overlap=1)
    assert np.abs(rough - whole).mean() > 1e-3  # without an overlap the seams would show


def test_agrees_with_monai(photograph):
    inferers = pytest.importorskip("monai.inferers")
    model, prepared, whole = photograph
    x = torch.from_numpy(prepared.tile(slice(None), slice(None), 1))[None]
    with torch.inference_mode():
        theirs = inferers.sliding_window_inference(
            x, (384, 384), 1, model, overlap=0.6, mode="gaussian"
        )[0].numpy()
    ours = predict(model, prepared, (512, 512), tile=384, overlap=256)
    assert np.abs(ours - theirs).mean() < 1e-3
    assert np.abs(ours - whole).mean() <= np.abs(theirs - whole).mean() + 2e-4


@pytest.mark.parametrize("flips", [4, 8])
def test_a_flipped_image_gives_the_flipped_answer(flips):
    model, planes = make_network(), np.random.default_rng(0).random((1, 32, 32)).astype(np.float32)
    straight, flipped = (
        averaged(model, planes, flips),
        averaged(model, planes[:, ::-1].copy(), flips),
    )
    np.testing.assert_allclose(
        flipped, straight[:, ::-1], atol=1e-5
    )  # the mean, and the spread behind it
    assert len(straight) == 2
    assert straight[1].max() > 1e-4
    assert np.abs(averaged(model, planes, 1) - straight[:1]).max() > 1e-4  # averaging did something


def test_a_working_scale_of_its_own_gives_the_images_shape():
    prepared = Prepared(
        np.random.default_rng(0).random((50, 90)).astype(np.float32), zoom=(0.5, 0.7)
    )
    assert predict(make_network(3), prepared, (50, 90)).shape == (3, 50, 90)


def test_a_constant_image_is_background():
    answer = predict(make_network(3), Prepared(np.full((20, 30), 7, np.uint8)), (20, 30))
    assert (answer[0] == 1).all()
    assert (answer[1:] == 0).all()
    assert (predict(make_network(1), Prepared(np.zeros((20, 30))), (20, 30)) == 0).all()


def test_the_network_does_not_see_constant_tiles(monkeypatch):
    pixels, seen = np.random.default_rng(0).random((64, 320)).astype(np.float32), []
    pixels[:, :200] = 0.5
    monkeypatch.setattr(
        tiles,
        "averaged",
        lambda model, tile, flips: seen.append(tile) or averaged(model, tile, flips),
    )
    answer = predict(make_network(3), Prepared(pixels), (64, 320), tile=64, overlap=16)
    assert seen
    assert all(np.ptp(tile) > 0 for tile in seen)
    assert (answer[1:, :, :100] == 0).all()
    assert answer[0, :, :100] == pytest.approx(1)
    assert np.ptp(answer[1, :, 260:]) > 0
