"""Fine-tuning: a new structure is learnt in seconds, kept in a file, and mistakes are named."""

from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.inference.segment import segment
from unet_helpers.training import finetune
from unet_helpers.training.recipes import Example


def discs(seed: int, side: int = 96):
    """A colour picture of two kinds of discs on noise, and the mask of the bright ones."""
    random = np.random.default_rng(seed)
    pixels, mask = random.normal(60, 12, (side, side, 3)), np.zeros((side, side), np.uint8)
    rows, columns = np.mgrid[:side, :side]
    for i in range(6):
        y, x, r = *random.integers(10, side - 10, 2), random.integers(6, 12)
        inside = (rows - y) ** 2 + (columns - x) ** 2 < r * r
        pixels[inside] = random.normal(
            (200, 190, 40) if i % 2 else (30, 30, 90), 12, (inside.sum(), 3)
        )
        mask[inside] = 255 if i % 2 else 0
    return pixels.clip(0, 255).astype(np.uint8), mask


def test_a_few_seconds_teach_a_new_structure(tmp_path):
    images, masks = zip(*(discs(i) for i in range(4)))
    student = uh.fine_tune(
        "nuclei",
        images,
        masks,
        classes=["disc"],
        size=64,
        steps=60,
        save_to=tmp_path / "m.safetensors",
    )
    pixels, truth = discs(9)
    result = uh.segment(pixels, student, progress=False)
    assert uh.dice(truth, result.labels) > 0.7
    again = uh.load_model(tmp_path / "m.safetensors")
    assert again.card.classes == ("disc",)
    assert again.card.name == "fine_tuned"
    labels = uh.segment(pixels, again, progress=False).labels
    assert uh.dice(result.labels, labels) > 0.98  # half precision moves a pixel or two


@pytest.mark.parametrize(("sign", "kept"), [(1, True), (-1, False)])
def test_the_old_last_layer_stays_where_it_already_does_better(sign, kept):
    """One that answers the green channel fits a mask of the bright pixels, and not one of the dark ones."""
    network = make_network(out_channels=1)
    network.logits = lambda x: network.conv(x[:, :1].expand(-1, network.features, -1, -1))
    old, new = torch.nn.Conv2d(network.features, 1, 1), network.conv
    with torch.no_grad():
        old.weight.fill_(20 * sign), old.bias.fill_(-10 * sign * network.features)
    pixels = np.random.default_rng(0).random((network.in_channels, 32, 32)).astype(np.float16)
    answer = finetune.keep_better_head(
        network, old, [Example(pixels, (pixels[0] > 0.5).astype(np.uint8))]
    )
    assert answer == kept
    assert network.conv is (old if kept else new)


def test_it_says_where_it_has_not_converged_and_keeps_its_curve():
    images, masks = zip(*(discs(i) for i in range(2)))
    with pytest.warns(UserWarning, match="Not converged after 4 steps.*steps=8"):
        student = uh.fine_tune("nuclei", images, masks, classes=["disc"], size=64, steps=4)
    assert list(student.curve.columns) == [
        "step",
        "loss",
        "Dice",
    ]
    assert student.curve.step.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("dice", "words"),
    [
        ([0.2, 0.5, 0.7, 0.8, 0.88, 0.9, 0.905, 0.91], ""),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], "Not converged"),
        ([0.3] * 8, "fits its own images badly"),
        ([0.9] * 3, "Not converged after 3"),
    ],
)
def test_a_curve_is_judged_by_its_end(dice, words):
    curve = pd.DataFrame({"step": range(1, len(dice) + 1), "loss": 1.0, "Dice": dice})
    said = finetune.doubts(curve)
    assert words in said
    assert (words == "") == (said == "")


def test_it_goes_on_in_rounds_until_it_has_settled(monkeypatch):
    images, masks = zip(*(discs(i) for i in range(2)))
    monkeypatch.setattr(finetune, "ROUND", 8)
    judged = iter(["not yet", "not yet", ""])
    monkeypatch.setattr(finetune, "doubts", lambda curve: next(judged))
    student = uh.fine_tune("nuclei", images, masks, classes=["disc"], size=64)
    assert student.curve.step.tolist() == list(range(1, 25))


def test_nuclei_are_learnt_from_ids_or_from_a_plain_mask():
    """Touching nuclei of different ids get a border between them, those of a plain mask are one."""
    pixels, ids = np.full((96, 96), 20, np.uint8), np.zeros((96, 96), np.uint16)
    for number, x in enumerate((20, 44), 900):  # ids need not start at 1
        ids[30:54, x : x + 24] = number
    pixels[ids > 0] = 200
    network = uh.load_model("nuclei", trainable=True)
    drawn, plain = (finetune.make_example(network, pixels, mask).target for mask in (ids, ids > 0))
    assert set(np.unique(drawn)) == {0, 1, 2}
    assert set(np.unique(plain)) == {0, 1}
    student = uh.fine_tune("nuclei", [pixels], [ids], steps=2)
    assert student.out_channels == 3
    assert student.card.name == "fine_tuned"


def test_two_classes_give_two_answers():
    images, masks = zip(*(discs(i) for i in range(2)))
    masks = [np.where(m > 0, 2, 0) + (i[..., 2] > 80) * (m == 0) for i, m in zip(images, masks)]
    student = uh.fine_tune("nuclei", images, masks, classes=["dark", "bright"], size=96, steps=3)
    assert student.out_channels == 3
    assert segment(images[0], student, progress=False).probabilities.shape[0] == 3


def test_its_own_task_keeps_the_card():
    pixels, truth = discs(0, 300)
    student = uh.fine_tune("retinal_vessels", [pixels], [truth], steps=2, name="my_camera")
    assert student.card.preprocessing == uh.MODELS["retinal_vessels"].preprocessing
    assert student.card.name == "my_camera"
    assert student.card.scores == ()  # measured with other weights


@pytest.mark.parametrize(
    ("images", "masks", "words"),
    [
        ([], [], "0 images"),
        ([np.zeros((9, 9))], [], "1 images and 0 masks"),
        ([np.zeros((9, 9))], [np.zeros((8, 9))], "make them alike"),
        ([np.zeros((4, 9, 9))], [np.zeros((4, 9, 9))], "volume.*give its slices"),
        ([np.zeros((32, 32))], [np.zeros((32, 32))], "masks are empty"),
    ],
)
def test_mistakes_are_named(images, masks, words):
    with pytest.raises(uh.TrainingError, match=words):
        finetune.fine_tune("nuclei", images, masks, classes=["x"])


def test_masks_with_more_classes_than_named_are_refused():
    with pytest.raises(uh.TrainingError, match="3"):
        uh.fine_tune(
            "nuclei", [np.zeros((32, 32), np.uint8)], [np.full((32, 32), 3)], classes=["a", "b"]
        )


@pytest.mark.parametrize(
    ("start", "size", "expected"), [("lungs", None, 256), ("nuclei", None, 128), ("lungs", 96, 96)]
)
def test_a_new_task_is_seen_at_the_scale_of_the_starting_card(start, size, expected):
    preprocessing = finetune.new_card(uh.MODELS[start], "mine", ("x",), size).preprocessing
    assert (preprocessing.scale, preprocessing.size) == ("square", expected)


def test_rounds_until_the_minutes_are_over(monkeypatch):
    """On a clock that goes on by a minute at each look: settled or not, it learns for three rounds."""
    monkeypatch.setattr(finetune, "ROUND", 2)
    monkeypatch.setattr(finetune.time, "monotonic", count(0, 60).__next__)
    images, masks = zip(*(discs(i) for i in range(2)))
    with pytest.warns(UserWarning, match="Not converged after 6 steps"):
        student = uh.fine_tune("nuclei", images, masks, classes=["disc"], size=64, minutes=2)
    assert student.curve.step.tolist() == [1, 2, 3, 4, 5, 6]


def test_a_new_structure_is_measured_as_objects_whatever_the_start_was():
    card = finetune.new_card(uh.MODELS["retinal_vessels"], "mine", ("spot",), None)
    assert (card.measures, card.objects, card.instance_method) == (
        "objects",
        "volumes",
        "components",
    )
    assert (
        finetune.new_card(uh.MODELS["em_membranes"], "mine", ("spot",), None).objects == "volumes"
    )


def photograph_with_a_vessel() -> tuple[np.ndarray, np.ndarray]:
    """A lit disc off the centre of a black photograph, with one dark line through it, and the line's mask."""
    y, x = np.mgrid[:300, :400]
    inside = (y - 140) ** 2 + (x - 230) ** 2 < 110**2
    line = inside & (np.abs(x - y - 90) < 6)
    light = np.random.default_rng(0).normal(150, 6, (300, 400)) * inside - 60.0 * line
    return np.repeat(np.clip(light, 0, 255).astype(np.uint8)[..., None], 3, -1), line.astype(
        np.uint8
    )


def test_only_the_eye_is_learnt_from_and_the_mask_stays_where_the_vessel_is():
    from unet_helpers.training.recipes import Case
    from unet_helpers.training.tasks import TASKS

    pixels, line = photograph_with_a_vessel()
    network = uh.load_model("retinal_vessels", trainable=True)
    case = Case("eye", "train", "drawn", uh.read_image(pixels), line)
    examples = TASKS["retinal_vessels"].examples(network.card, case)
    for example in (*examples, finetune.make_example(network, pixels, line)):
        assert example.pixels.shape[1:] == example.target.shape
        dark, bright = (example.pixels[0][example.target == k].mean() for k in (1, 0))
        shifted = example.pixels[0][np.roll(example.target, 20, 1) == 1].mean()
        assert dark < 0.35 < 0.4 < shifted
        assert bright > 0.45


@pytest.mark.parametrize(
    "given",
    [("a.png", ["b.png"], ["spot"]), (["a.png"], Path("b.png"), ["spot"]), ([1], [1], "spot")],
)
def test_one_path_or_name_is_no_list(given):
    images, masks, classes = given
    with pytest.raises(uh.TrainingError, match="are lists"):
        uh.fine_tune("nuclei", images, masks, classes=classes)
