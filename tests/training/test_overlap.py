"""Classes that overlap: truth in bits, a loss and scores that leave out what is not labelled."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.chests import chest_masks, chest_result, chest_truth
from PIL import Image

import unet_helpers as uh
from unet_helpers.networks.cards import MODELS
from unet_helpers.networks.unet import network_of
from unet_helpers.training.datasets import Case
from unet_helpers.training.evaluate import evaluate, summary
from unet_helpers.training.examples import IGNORED, slice_examples
from unet_helpers.training.fit import validate
from unet_helpers.training.overlap import (
    bits_of,
    count_overlapping,
    has_class,
    knows_class,
    overlap_loss,
    score_overlapping,
)
from unet_helpers.training.tasks import TASKS, read_cases
from unet_helpers.training.tasks.chest import NOT_LABELLED, sided_lungs
from unet_helpers.training.train import starting_network

CHEST = MODELS["chest"]

LEFT = np.array([[True, True, False, False]])
MIDDLE = np.array([[False, True, True, False]])


def as_target(truth: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(truth).long()[None]


def test_bits_keep_all_masks_and_what_is_not_known():
    truth = bits_of({0: LEFT, 1: MIDDLE}, unknown=(2,))
    np.testing.assert_array_equal(has_class(truth, 0), LEFT)
    np.testing.assert_array_equal(has_class(truth, 1), MIDDLE)
    assert knows_class(truth, 1).all()
    assert not knows_class(truth, 2).any()
    assert not has_class(truth, 2).any()


def test_nothing_is_known_of_an_ignored_pixel():
    truth = np.array([[IGNORED, 3]], np.int16)
    for index in range(7):
        assert knows_class(truth, index).tolist() == [[False, True]]
        assert not has_class(truth, index)[0, 0]


def test_logits_of_zero_cost_the_entropy_of_a_coin_and_one_minus_their_dice():
    """Each class has 2 of 4 pixels, and every answer is 0.5: (2 * 1 + 1) / (2 + 2 + 1)."""
    target = as_target(bits_of({0: LEFT, 1: MIDDLE}))
    loss = overlap_loss(torch.zeros(1, 2, 1, 4), target)
    assert loss.item() == pytest.approx(np.log(2) + 1 - 3 / 5, abs=1e-6)


def test_a_right_and_certain_answer_costs_nothing_where_classes_overlap():
    masks = torch.from_numpy(np.stack([LEFT, MIDDLE]))[None]
    target = as_target(bits_of({0: LEFT, 1: MIDDLE}))
    assert overlap_loss(100 * masks - 50.0, target).item() == pytest.approx(0, abs=1e-5)


def test_what_is_not_labelled_costs_nothing_and_teaches_nothing():
    target = as_target(bits_of({0: LEFT}, unknown=(1,)))
    logits = torch.zeros(1, 2, 1, 4, requires_grad=True)
    loss = overlap_loss(logits, target)
    alone = overlap_loss(torch.zeros(1, 1, 1, 4), target)
    # The entropy is a mean over both classes, of which one has none.
    assert loss.item() == pytest.approx(alone.item() - np.log(2) / 2, abs=1e-6)

    loss.backward()
    assert (logits.grad[0, 0] != 0).all()
    assert (logits.grad[0, 1] == 0).all()


def test_ignored_pixels_cost_nothing():
    target = as_target(bits_of({0: LEFT, 1: MIDDLE}))
    target[..., 3] = IGNORED
    logits = torch.zeros(1, 2, 1, 4)
    other = logits.clone()
    other[..., 3] = 9
    assert overlap_loss(logits, target).item() == overlap_loss(other, target).item()


def test_dice_of_each_image_leaves_out_its_own_unknown_classes():
    known = as_target(bits_of({0: LEFT, 1: MIDDLE}))
    half_known = as_target(bits_of({0: LEFT}, unknown=(1,)))
    target = torch.cat([known, half_known])
    masks = torch.from_numpy(np.stack([LEFT, MIDDLE])).float()
    logits = torch.stack([100 * masks - 50, torch.stack([100 * masks[0] - 50, 50 - 0 * masks[1]])])
    assert overlap_loss(logits, target, dice_over="image").item() == pytest.approx(0, abs=1e-5)


def test_weights_make_a_class_dearer():
    target = as_target(bits_of({0: LEFT, 1: MIDDLE}))
    logits = torch.zeros(1, 2, 1, 4)
    logits[0, 1] = 2.0
    cheap = overlap_loss(logits, target, torch.tensor([3.0, 1.0]))
    assert overlap_loss(logits, target, torch.tensor([1.0, 3.0])) > cheap


def test_counts_are_of_known_pixels():
    logits = torch.tensor([[[9.0, 9, -9, -9]], [[9.0, 9, -9, -9]]])
    counts = count_overlapping(logits, bits_of({0: LEFT, 1: MIDDLE}))
    np.testing.assert_array_equal(counts, [[2, 1], [4, 4]])
    counts = count_overlapping(logits, bits_of({0: LEFT}, unknown=(1,)))
    np.testing.assert_array_equal(counts, [[2, 0], [4, 0]])


def chest_case(truth: np.ndarray, name: str = "film") -> Case:
    """The drawn chest as a case with this truth."""
    return Case(name, "test", "JSRT", chest_result().image, truth)


def test_each_class_is_scored_where_it_is_known():
    scores = score_overlapping(chest_case(chest_truth()), chest_result())
    assert scores == {f"Dice {name}": 1.0 for name in CHEST.classes}

    lungs = sided_lungs(chest_masks()[0] | chest_masks()[1], "film")
    scores = TASKS["chest"].score(chest_case(lungs), chest_result())
    assert scores["Dice right lung"] == scores["Dice left lung"] == 1
    assert np.isnan(scores["Dice heart"])
    assert np.isnan(scores["error of the cardiothoracic ratio"])


def test_a_heart_that_is_not_found_is_an_error_of_the_whole_ratio():
    probabilities = chest_result().probabilities.copy()
    probabilities[2] = 0
    empty = chest_result(probabilities=probabilities)
    scores = TASKS["chest"].score(chest_case(chest_truth()), empty)
    assert scores["error of the cardiothoracic ratio"] == 41 / 90


def test_lung_masks_alone_are_no_data_set_of_this_card(data):
    for path in (data / "images").iterdir():
        path.unlink()
    with pytest.raises(uh.TrainingError, match="no images of 'chest' found"):
        list(read_cases("chest", data))


def test_the_error_of_the_ratio_is_absolute():
    """One column more of 90, of a heart of 41."""
    masks = dict(enumerate(chest_masks()))
    masks[1] = masks[1].copy()
    masks[1][10:70, 105] = True
    scores = TASKS["chest"].score(chest_case(bits_of(masks)), chest_result())
    assert scores["error of the cardiothoracic ratio"] == pytest.approx(41 / 90 - 41 / 91)


def test_the_right_lung_of_a_patient_is_on_the_left_of_the_film():
    lungs = chest_masks()[0] | chest_masks()[1]
    lungs[75:78, 20:24] = True
    truth = sided_lungs(lungs, "film")
    expected = chest_masks()[0]
    expected[75:78, 20:24] = True
    np.testing.assert_array_equal(has_class(truth, 0), expected)
    np.testing.assert_array_equal(has_class(truth, 1), chest_masks()[1])
    for index in NOT_LABELLED:
        assert not knows_class(truth, index).any()


def test_a_single_lung_is_refused_by_name():
    with pytest.raises(uh.TrainingError, match="film: the mask has 1 parts"):
        sided_lungs(chest_masks()[0], "film")


@pytest.fixture
def data(tmp_path):
    """Ten films of JSRT with all classes, and ten of Montgomery with the lungs alone."""
    image = chest_result().image.pixels
    lungs = (chest_masks()[0] | chest_masks()[1]).astype(np.uint8) * 255
    for folder, name, mask in (
        ("chest", "JPCLN{:03}", chest_truth().astype(np.uint8)),
        ("lungs", "MCUCXR_{:04}_0", lungs),
    ):
        for part in ("images", "masks"):
            (tmp_path / folder / part).mkdir(parents=True)
        for number in range(10):
            stem = name.format(number)
            Image.fromarray(image).save(tmp_path / folder / "images" / f"{stem}.jpg")
            Image.fromarray(mask).save(tmp_path / folder / "masks" / f"{stem}.png")
    return tmp_path / "chest"


def test_films_and_lung_masks_are_read_together(data):
    cases = list(read_cases("chest", data))
    assert [case.kind for case in cases] == ["JSRT"] * 10 + ["MCUCXR"] * 10
    assert cases[0].image.spacing == (0.7, 0.7)
    np.testing.assert_array_equal(cases[0].truth, chest_truth())
    assert not knows_class(cases[-1].truth, 2).any()
    assert [case.part for case in cases].count("test") == 2


def test_examples_keep_the_bits(data):
    card = replace(CHEST, preprocessing=replace(CHEST.preprocessing, size=64))
    case = list(read_cases("chest", data))[-1]
    (example,) = slice_examples(card, case)
    assert example.target.dtype == np.int16
    assert example.target.shape == (64, 64)
    assert set(np.unique(example.target)) == set(np.unique(case.truth))


def test_the_test_part_is_scored_by_kind(data):
    network = network_of(replace(CHEST, features=2, depth=1)).eval()
    scores = summary(evaluate("chest", data, "test", network))
    assert np.isnan(scores.loc["MCUCXR (1)", "Dice heart"]["mean"])
    # Of two films, the heart is labelled in one.
    assert np.isnan(scores.loc["all (2)", "Dice heart"]["mean"])
    assert np.isfinite(scores.loc["all (2)", "Dice left lung"]["mean"])
    assert np.isfinite(scores.loc["JSRT (1)", "Dice heart"]["mean"])
    assert np.isfinite(scores.loc["MCUCXR (1)", "Dice left lung"]["mean"])


def test_validation_counts_each_class():
    """The network finds the first class everywhere, and never the second."""
    card = replace(
        CHEST, classes=CHEST.classes[:3], colors=CHEST.colors[:3], out_channels=3, expected_parts=()
    )
    network = network_of(card).eval()
    network.logits = lambda x: torch.tensor([9.0, -9.0, -9.0])[:, None, None].expand(1, 3, 1, 4)
    example = make_example(bits_of({0: LEFT, 1: MIDDLE}, unknown=(2,)))
    assert validate(network, [example]) == pytest.approx((2 * 2 / 6 + 0 + 0) / 3)


@pytest.mark.filterwarnings("ignore:Not converged")
def test_new_classes_of_two_sides_are_never_mirrored(monkeypatch):
    from unet_helpers.training import finetune

    recipes = []
    fit_in_rounds = finetune.fit_in_rounds

    def recorded(network, examples, scored, recipe, *others):
        recipes.append(recipe)
        return fit_in_rounds(network, examples, scored, recipe, *others)

    monkeypatch.setattr(finetune, "fit_in_rounds", recorded)
    image = chest_result().image.pixels
    masks = [np.where(chest_masks()[1], 2, chest_masks()[0])]
    for classes in (["left lung", "right lung"], ["lung", "other lung"]):
        student = uh.fine_tune("nuclei", [image], masks, classes=classes, size=64, steps=2)
        assert student.card.flips == (1 if "left lung" in classes else 4)
    assert [recipe.symmetry for recipe in recipes] == ["none", "all"]


def make_example(truth: np.ndarray):
    from unet_helpers.training.examples import Example

    return Example(np.zeros((1, *truth.shape), np.float16), truth)


def test_weights_of_other_classes_start_with_a_new_last_layer():
    lungs = uh.load_model("lungs", trainable=True)
    network = starting_network(CHEST, "lungs", seed=1)
    assert network.overlapping
    assert network.out_channels == 5
    assert network.card is CHEST
    for name, tensor in network.state_dict().items():
        if name.startswith("conv."):
            assert tensor.shape != lungs.state_dict()[name].shape
        else:
            assert torch.equal(tensor, lungs.state_dict()[name])


def test_weights_of_the_same_classes_start_with_their_last_layer():
    network = starting_network(MODELS["lungs"], "lungs", seed=1)
    assert torch.equal(network.conv.weight, uh.load_model("lungs", trainable=True).conv.weight)


@pytest.mark.filterwarnings("ignore:Not converged")
def test_a_card_whose_classes_overlap_learns_on_from_bits():
    image = chest_result().image.pixels
    student = uh.fine_tune("chest", [image], [chest_truth()], steps=2)
    assert student.overlapping
    assert student.card.classes == CHEST.classes
    result = uh.segment(image, student, progress=False)
    assert result.probabilities.shape == (5, *image.shape)

    with pytest.raises(uh.TrainingError, match=r"the mask holds 32, but right lung, .* overlap"):
        uh.fine_tune("chest", [image], [np.full(image.shape, 32)], steps=2)


@pytest.mark.filterwarnings("ignore:Not converged")
def test_new_classes_exclude_each_other():
    image = chest_result().image.pixels
    masks = [np.where(chest_masks()[2], 2, chest_masks()[0])]
    student = uh.fine_tune("chest", [image], masks, classes=["lung", "heart"], steps=2)
    assert not student.overlapping
    assert not student.card.overlapping
    total = uh.segment(image, student, progress=False).probabilities.sum(axis=0)
    np.testing.assert_allclose(total, 1, atol=1e-3)
