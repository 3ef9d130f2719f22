"""Examples are what the network will see of an image, and their targets lie where they belong."""

import numpy as np
import pytest

from unet_helpers import MODELS, read_image
from unet_helpers.figures.network import network_input
from unet_helpers.networks.cards import ModelCard, Preprocessing
from unet_helpers.training.datasets import Case
from unet_helpers.training.examples import IGNORED, slice_examples
from unet_helpers.training.tasks import TASKS
from unet_helpers.training.tasks.nuclei import at_diameter, interiors_and_borders
from unet_helpers.training.train import Choices


def case_of(pixels: np.ndarray, truth: np.ndarray) -> Case:
    return Case(name="a", part="train", kind="drawn", image=read_image(pixels), truth=truth)


def card_of(**preprocessing) -> ModelCard:
    return ModelCard(
        name="drawn",
        title="Drawn",
        modality="drawn",
        classes=("disc",),
        colors=("#E69F00",),
        preprocessing=Preprocessing(**preprocessing),
    )


@pytest.mark.parametrize("card", ["brain_flair", "hippocampus"])
def test_a_slice_is_learnt_from_as_it_will_be_seen(card):
    """Levels, neighbours and working scale of inference; bright, dim and faint slices."""
    brightest = np.array([200, 100, 180, 150, 3])
    volume = np.random.default_rng(0).uniform(0.2, 1, (5, 40, 36)) * brightest[:, None, None]
    pixels = volume.astype(np.uint8)
    truth = np.empty(pixels.shape, np.uint8)
    truth[:] = np.arange(1, 6)[:, None, None]

    examples = list(TASKS[card].examples(MODELS[card], case_of(pixels, truth)))
    assert len(examples) >= 5
    of_first_axis = examples[:5]
    for index, example in enumerate(of_first_axis):
        seen = network_input(read_image(pixels), card, index)[0]
        np.testing.assert_allclose(example.pixels, seen, atol=2e-3)
        assert (example.target == index + 1).all()


def test_a_volume_is_learnt_from_as_it_will_be_seen():
    """All slices at the levels of the whole volume."""
    brightest = np.array([200, 100, 180, 150, 3])
    volume = np.random.default_rng(0).uniform(0.2, 1, (5, 40, 36)) * brightest[:, None, None]
    truth = np.zeros(volume.shape, np.uint8)
    truth[2:, 10:20, 5:9] = 2

    card = Choices(volumes=True).card_from(MODELS["hippocampus"])
    (example,) = TASKS["hippocampus"].examples(card, case_of(volume, truth))
    low, high = np.percentile(volume, card.preprocessing.percentiles)
    expected = ((volume - low) / (high - low)).clip(-1, 2)
    np.testing.assert_allclose(example.pixels[0], expected, atol=2e-3)
    assert example.pixels.shape == (1, 5, 40, 36)
    np.testing.assert_array_equal(example.target, truth)


def test_of_slices_without_structure_every_third_is_learnt_from():
    pixels = np.random.default_rng(0).integers(0, 255, (8, 16, 16), np.uint8)
    truth = np.zeros_like(pixels)
    truth[4, 3, 3] = 1
    examples = list(slice_examples(card_of(), case_of(pixels, truth)))
    assert [bool(example.target.any()) for example in examples] == [False, False, True, False]


def test_slices_of_each_axis_know_which_way_is_left():
    pixels = np.random.default_rng(0).integers(0, 255, (4, 5, 6), np.uint8)
    card = card_of(axes=(0, 1, 2))
    examples = list(slice_examples(card, case_of(pixels, np.ones_like(pixels))))
    shapes = [(example.pixels.shape[1:], example.left_right) for example in examples]
    assert shapes == [((5, 6), 2)] * 4 + [((4, 6), 2)] * 5 + [((4, 5), 0)] * 6


def test_a_square_card_sees_all_slices_at_its_size():
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30), np.uint8)
    card = card_of(scale="square", size=16)
    (example,) = slice_examples(card, case_of(pixels, np.ones_like(pixels)))
    assert example.pixels.shape == (1, 16, 16)
    assert example.target.shape == (16, 16)
    assert (example.pixels.dtype, example.target.dtype) == (np.float16, np.uint8)


def photograph_with_a_vessel() -> tuple[np.ndarray, np.ndarray]:
    """A lit disc off the centre of a black photograph, with one dark line, and the line's mask."""
    y, x = np.mgrid[:300, :400]
    inside = (y - 140) ** 2 + (x - 230) ** 2 < 110**2
    line = inside & (np.abs(x - y - 90) < 6)
    light = np.random.default_rng(0).normal(150, 6, (300, 400)) * inside - 60.0 * line
    grey = np.clip(light, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1), line.astype(np.uint8)


def test_only_the_eye_is_learnt_from_and_the_mask_stays_where_the_vessel_is():
    pixels, line = photograph_with_a_vessel()
    (example,) = TASKS["retinal_vessels"].examples(MODELS["retinal_vessels"], case_of(pixels, line))
    assert example.pixels.shape[1:] == example.target.shape
    assert set(np.unique(example.target)) == {0, 1, IGNORED}
    seen = example.pixels[0]
    assert seen[example.target == 1].mean() < 0.35
    assert seen[example.target == 0].mean() > 0.45
    shifted = np.roll(example.target, 20, axis=1)
    assert seen[shifted == 1].mean() > 0.4


def two_touching_nuclei() -> np.ndarray:
    ids = np.zeros((7, 12), np.uint16)
    ids[1:6, 1:6] = 1
    ids[1:6, 6:11] = 2
    return ids


def test_borders_are_drawn_where_nuclei_touch():
    ids = two_touching_nuclei()
    target = interiors_and_borders(ids, reach=1)
    assert (target[1:6, 5:7] == 2).all()
    assert (target == 2).sum() == 10
    assert ((target > 0) == (ids > 0)).all()


def test_a_nucleus_alone_has_no_border():
    alone = (two_touching_nuclei() == 1).astype(np.uint16)
    assert (interiors_and_borders(alone, reach=1) == 2).sum() == 0


def test_with_a_rim_a_nucleus_alone_has_a_border_all_around():
    alone = (two_touching_nuclei() == 1).astype(np.uint16)
    target = interiors_and_borders(alone, reach=1, rim=True)
    assert (target[2:5, 2:5] == 1).all()
    assert (target == 2).sum() == 25 - 9


@pytest.mark.parametrize(("size", "side"), [(24, 96), (48, 192), (1000, 384)])
def test_nuclei_are_brought_to_a_diameter_but_at_most_four_times_as_large(size, side):
    """A disc of the area of a circle 24 px across in an image of 96 px."""
    y, x = np.mgrid[:96, :96]
    ids = ((y - 48) ** 2 + (x - 48) ** 2 < 12**2).astype(np.int32) * 7
    shape = at_diameter(ids, size).shape
    assert shape == pytest.approx((side, side), rel=0.03)


def test_an_image_without_nuclei_stays_as_it_is():
    assert at_diameter(np.zeros((40, 50), np.int32), 24).shape == (40, 50)
