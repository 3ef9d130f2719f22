"""Tiling: the blend sums to one and agrees with the untiled answer; augmentations are undone."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import scipy
import torch
from helpers import fundus
from helpers.networks import make_network

from unet_helpers import load_model, read_image
from unet_helpers.inference import tiles
from unet_helpers.inference.scale import working_shape
from unet_helpers.inference.tiles import (
    AUGMENTATIONS,
    LEAST_WEIGHT,
    Augmentation,
    averaged,
    gaussian,
    spans,
)
from unet_helpers.inference.tiles import predict as add_prediction
from unet_helpers.networks.cards import Preprocessing
from unet_helpers.preprocessing.prepare import prepare
from unet_helpers.preprocessing.slices import Prepared


def predict(model, prepared, shape, **options) -> np.ndarray:
    out = np.zeros((model.out_channels, *shape), np.float32)
    add_prediction(model, prepared, out, **options)
    return out


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(np.float32)


# Tiles along one axis.


@pytest.mark.parametrize(
    ("length", "tile", "overlap"),
    [(100, 40, 10), (1, 40, 10), (40, 40, 10), (41, 40, 39), (977, 256, 64)],
)
def test_shares_sum_to_one_and_tiles_stay_within_their_size(length, tile, overlap):
    total = np.zeros(length)
    for span in spans(length, tile, overlap):
        assert len(span.weights) == span.place.stop - span.place.start <= tile
        assert span.weights.dtype == np.float32
        total[span.place] += span.weights
    np.testing.assert_allclose(total, 1, atol=1e-5)


def test_what_fits_into_a_tile_is_one_tile():
    (span,) = spans(40, 40, 10)
    assert span.place == slice(0, 40)
    assert (span.weights == 1).all()


def test_tiles_lie_evenly():
    assert [span.place for span in spans(100, 40, 10)] == [
        slice(0, 33),
        slice(22, 55),
        slice(44, 77),
        slice(67, 100),
    ]


def test_tiles_start_where_the_network_pools():
    places = [span.place for span in spans(3001, 512, 64, 16)]
    assert all(place.start % 16 == 0 for place in places)
    assert all(place.stop - place.start <= 512 for place in places)
    assert places[0].start == 0
    assert places[-1].stop == 3001


def test_tiles_are_of_one_size_and_overlap():
    places = [span.place for span in spans(3001, 512, 64, 16)]
    assert len({place.stop - place.start for place in places[:-1]}) == 1
    assert all(after.start <= before.stop - 64 for before, after in pairwise(places))


def test_weights_are_gaussian_with_an_eighth_of_the_tile_as_deviation():
    weights = gaussian(9) - LEAST_WEIGHT
    assert weights[4] == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(weights, weights[::-1])
    np.testing.assert_allclose(weights[6], np.exp(-0.5 * (2 / (9 / 8)) ** 2))
    assert gaussian(1000).min() >= LEAST_WEIGHT


# Blending.


@pytest.fixture(scope="module")
def photograph():
    """The prepared retina at working scale, and its answer in one piece."""
    model = load_model("retinal_vessels")
    image = read_image("sample_images/retina.jpg")
    shape = working_shape(model, image.pixels)
    whole_image = prepare(image.pixels[None], model.card.preprocessing, shape)[0]
    prepared = Prepared(whole_image.pixels[200:712, 200:712])
    return model, prepared, predict(model, prepared, (512, 512), tile=4096)


def test_tiled_equals_untiled_and_shows_no_seams(photograph):
    model, prepared, whole = photograph
    tiled = predict(model, prepared, (512, 512), tile=384, overlap=256)
    difference = np.abs(tiled - whole)[0]
    assert difference.mean() < 1e-3
    seams = [384, *(span.place.start for span in spans(512, 384, 256, 16)[1:])]
    at_seams = np.concatenate([difference[:, seam - 2 : seam + 2].ravel() for seam in seams])
    assert at_seams.mean() < 1e-3


def test_without_an_overlap_seams_would_show(photograph):
    model, prepared, whole = photograph
    rough = predict(model, prepared, (512, 512), tile=128, overlap=1)
    assert np.abs(rough - whole).mean() > 1e-3


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


def test_the_answer_is_added_with_its_weight():
    model = make_network(3)
    prepared = Prepared(noise(32, 32))
    alone = predict(model, prepared, (32, 32))
    out = np.full((3, 32, 32), 2, np.float32)
    add_prediction(model, prepared, out, weight=0.25)
    np.testing.assert_allclose(out, 2 + alone / 4, atol=1e-6)


def test_a_working_scale_of_its_own_gives_the_images_shape():
    prepared = Prepared(noise(50, 90), zoom=(0.5, 0.7))
    answer = predict(make_network(3), prepared, (50, 90))
    assert answer.shape == (3, 50, 90)
    np.testing.assert_allclose(answer.sum(0), 1, atol=1e-5)


def test_outside_the_field_of_view_the_answer_is_0():
    inside = np.zeros((32, 32), bool)
    inside[8:24, 8:20] = True
    model = make_network()
    masked = predict(model, Prepared(noise(32, 32), inside=inside), (32, 32))
    np.testing.assert_array_equal(
        masked, predict(model, Prepared(noise(32, 32)), (32, 32)) * inside
    )


def test_a_slice_prepared_at_another_size_is_resized_back():
    answer = predict(make_network(3), Prepared(noise(32, 32)), (64, 48))
    assert answer.shape == (3, 64, 48)
    np.testing.assert_allclose(answer.sum(0), 1, atol=1e-5)


def test_a_way_back_of_its_own_is_taken():
    prepared = Prepared(noise(32, 32), undo=lambda answer: answer[:, 8:16, 8:12])
    whole = predict(make_network(3), Prepared(noise(32, 32)), (32, 32))
    answer = predict(make_network(3), prepared, (8, 4))
    np.testing.assert_allclose(answer, whole[:, 8:16, 8:12], atol=1e-6)


# Where there is nothing to see.


def test_a_constant_image_is_background():
    answer = predict(make_network(3), Prepared(np.full((20, 30), 7, np.uint8)), (20, 30))
    assert (answer[0] == 1).all()
    assert (answer[1:] == 0).all()
    assert (predict(make_network(1), Prepared(np.zeros((20, 30))), (20, 30)) == 0).all()


def test_a_constant_image_has_no_disagreement():
    out = np.zeros((4, 20, 30), np.float32)
    add_prediction(make_network(3), Prepared(np.full((20, 30), 7, np.uint8)), out, flips=2)
    assert (out[0] == 1).all()
    assert (out[1:] == 0).all()


def test_a_constant_image_with_a_way_back_of_its_own_is_seen():
    """The published method predicts slices that became constant within their volume."""
    prepared = Prepared(np.zeros((32, 32), np.float32), undo=lambda answer: answer)
    assert predict(make_network(), prepared, (32, 32)).max() > 0


def test_the_network_does_not_see_constant_tiles(monkeypatch):
    pixels = noise(64, 320)
    pixels[:, :200] = 0.5
    seen = []

    def spy(model, tile, flips):
        seen.append(tile)
        return averaged(model, tile, flips)

    monkeypatch.setattr(tiles, "averaged", spy)
    answer = predict(make_network(3), Prepared(pixels), (64, 320), tile=64, overlap=16)
    assert seen
    assert all(np.ptp(tile) > 0 for tile in seen)
    assert (answer[1:, :, :100] == 0).all()
    assert answer[0, :, :100] == pytest.approx(1)
    assert np.ptp(answer[1, :, 260:]) > 0


# Test-time augmentation.


def test_the_augmentations_are_eight_different_ones_that_are_undone():
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    turned = [augmentation.apply(image) for augmentation in AUGMENTATIONS]
    assert len({tuple(copy.flatten().tolist()) for copy in turned}) == 8
    for augmentation, copy in zip(AUGMENTATIONS, turned):
        assert torch.equal(augmentation.undo(copy), image)


def test_the_first_is_the_image_itself_then_mirrored_then_half_turned():
    first, second, third, fourth, *_ = AUGMENTATIONS
    assert first == Augmentation(0, mirrored=False)
    assert second == Augmentation(0, mirrored=True)
    assert third == Augmentation(2, mirrored=False)
    assert fourth == Augmentation(2, mirrored=True)


@pytest.mark.parametrize("flips", [4, 8])
def test_a_mirrored_image_gives_the_mirrored_answer(flips):
    model = make_network()
    pixels = noise(1, 32, 32)
    straight = averaged(model, pixels, flips)
    mirrored = averaged(model, pixels[:, ::-1].copy(), flips)
    np.testing.assert_allclose(mirrored, straight[:, ::-1], atol=1e-5)


def test_averaging_changes_the_answer_and_tells_the_disagreement():
    model = make_network()
    pixels = noise(1, 32, 32)
    alone = averaged(model, pixels, 1)
    mean_and_deviation = averaged(model, pixels, 4)
    assert len(alone) == 1
    assert len(mean_and_deviation) == 2
    assert mean_and_deviation[1].max() > 1e-4
    assert np.abs(alone - mean_and_deviation[:1]).max() > 1e-4


def test_mean_and_deviation_are_those_of_the_answers(monkeypatch):
    answers = iter([0.1, 0.5, 0.3, 0.9])

    def run(model, x):
        value = next(answers)
        return torch.tensor([value, 1 - value]).reshape(1, 2, 1, 1).expand(1, 2, 4, 4)

    monkeypatch.setattr(tiles, "run", run)
    mean, rest, deviation = averaged(make_network(), noise(1, 4, 4), 4)
    np.testing.assert_allclose(mean, np.mean([0.1, 0.5, 0.3, 0.9]), rtol=1e-6)
    np.testing.assert_allclose(rest, 1 - mean, rtol=1e-6)
    np.testing.assert_allclose(deviation, np.std([0.1, 0.5, 0.3, 0.9]), rtol=1e-5)


# Shifts of logits.


def test_logits_are_shifted_by_the_width_of_the_field_of_view():
    eye, inside = fundus.photograph()
    without = make_network(intensities="local", scale="field of view", size=300, sigma=10.0)
    shifts = ((300.0, 0.4), (600.0, -0.6))
    preprocessing = replace(without.card.preprocessing, logit_shifts=shifts)
    shifted = make_network()
    shifted.card = replace(without.card, preprocessing=preprocessing)

    before = predict(
        without, prepare(eye[None], without.card.preprocessing, eye.shape)[0], eye.shape
    )
    after = predict(shifted, prepare(eye[None], preprocessing, eye.shape)[0], eye.shape)
    middle = inside & (before[0] > 0)
    difference = scipy.special.logit(after[0][middle]) - scipy.special.logit(before[0][middle])

    # As if the disc of 301 px were 300 px wide, because the zoom is 1.
    assert np.median(difference) == pytest.approx(0.4, abs=0.01)


def test_a_part_of_a_photograph_has_the_shift_of_the_whole():
    eye, _ = fundus.photograph()
    shifts = ((300.0, 0.4), (600.0, -0.6))
    preprocessing = Preprocessing(
        intensities="local", scale="field of view", size=300, sigma=10.0, logit_shifts=shifts
    )
    whole = prepare(eye[None], preprocessing, (200, 200))[0]
    part = prepare(eye[None, 100:200, 50:350], preprocessing, (50, 150))[0]
    assert whole.logit_shift == part.logit_shift == pytest.approx(-0.6)


def test_the_foreground_is_shifted_by_the_diameter_of_objects():
    """Objects of 24 working px at zoom 1/2 are 48 px wide; classes keep their proportions."""
    without = make_network(3, scale="objects", size=24)
    preprocessing = replace(without.card.preprocessing, logit_shifts=((24.0, 0.8), (48.0, 0.2)))
    shifted = make_network(3)
    shifted.card = replace(without.card, preprocessing=preprocessing)

    pixels = noise(1, 64, 64)
    assert prepare(pixels, preprocessing, (32, 32))[0].logit_shift == pytest.approx(0.2)
    before = predict(without, prepare(pixels, without.card.preprocessing, (64, 64))[0], (64, 64))
    after = predict(shifted, prepare(pixels, preprocessing, (64, 64))[0], (64, 64))
    np.testing.assert_allclose(after.sum(0), 1, atol=1e-5)
    difference = scipy.special.logit(1 - after[0]) - scipy.special.logit(1 - before[0])
    np.testing.assert_allclose(difference, 0.8, atol=0.01)
    np.testing.assert_allclose(after[1] / after[2], before[1] / before[2], rtol=1e-3)


def test_outside_the_field_of_view_all_is_background():
    network = make_network(3, 3, scale="field of view", size=96, intensities="local")
    rows, columns = np.mgrid[:96, :96]
    inside = (rows - 48) ** 2 + (columns - 48) ** 2 < 40**2
    pixels = np.random.default_rng(0).normal(120, 20, (96, 96, 3)) * inside[..., None]
    prepared = prepare(
        pixels[None].clip(0, 255).astype(np.uint8), network.card.preprocessing, (96, 96)
    )[0]
    out = np.zeros((3, 96, 96), np.float32)
    add_prediction(network, prepared, out)
    assert out.sum(axis=0) == pytest.approx(1, abs=1e-5)
    assert out[:, 2, 2].tolist() == [1, 0, 0]
    assert 0 < out[0, 48, 48] < 1
