"""Fine-tuning: a new structure is learnt in seconds, kept in a file, and mistakes are named."""

from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.networks import make_network
from helpers.volumes import nifti
from PIL import Image

import unet_helpers as uh
from unet_helpers.networks.cards import Preprocessing
from unet_helpers.training import finetune
from unet_helpers.training.examples import IGNORED, Example, around_structure
from unet_helpers.training.new_task import (
    keep_better_head,
    make_examples,
    new_card,
    read_pairs,
    recipe_for_new_task,
    recipe_for_own_task,
    usual_spacing,
)
from unet_helpers.training.pairs import Pair
from unet_helpers.training.tasks import TASKS

DARK = (30, 30, 90)
YELLOW = (200, 190, 40)


def make_example(network, image, mask) -> Example:
    """The example of one image and its mask."""
    (example,) = make_examples(network, read_pairs([Pair(image, mask)]))
    return example


def picture(seed: int, side: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """A colour picture of yellow and dark discs on noise, and the mask (0, 255) of the yellow."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(60, 12, (side, side, 3))
    mask = np.zeros((side, side), np.uint8)
    rows, columns = np.mgrid[:side, :side]

    for number in range(6):
        is_yellow = number % 2 == 1
        row, column = rng.integers(10, side - 10, 2)
        radius = rng.integers(6, 12)
        inside = (rows - row) ** 2 + (columns - column) ** 2 < radius * radius
        colour = YELLOW if is_yellow else DARK
        pixels[inside] = rng.normal(colour, 12, (inside.sum(), 3))
        mask[inside] = 255 if is_yellow else 0
    return pixels.clip(0, 255).astype(np.uint8), mask


@dataclass(frozen=True)
class Pictures:
    images: list
    masks: list


@pytest.fixture
def two() -> Pictures:
    """Two pictures and their masks."""
    pairs = [picture(seed) for seed in range(2)]
    return Pictures(images=[image for image, _ in pairs], masks=[mask for _, mask in pairs])


def test_a_few_seconds_teach_a_new_structure(tmp_path):
    pairs = [picture(seed) for seed in range(4)]
    student = uh.fine_tune(
        "nuclei",
        [image for image, _ in pairs],
        [mask for _, mask in pairs],
        classes=["disc"],
        size=64,
        steps=60,
        save_to=tmp_path / "m.safetensors",
    )
    pixels, truth = picture(9)
    labels = uh.segment(pixels, student, progress=False).labels
    assert uh.dice(truth, labels) > 0.7

    again = uh.load_model(tmp_path / "m.safetensors")
    assert again.card.classes == ("disc",)
    assert again.card.name == "fine_tuned"
    labels_again = uh.segment(pixels, again, progress=False).labels
    # Weights in half precision move a pixel or two.
    assert uh.dice(labels, labels_again) > 0.98


def learnt_in_two_steps(start, images, masks) -> torch.Tensor:
    student = uh.fine_tune(start, images, masks, classes=["disc"], size=64, steps=2)
    return student.get_submodule("conv").weight


@pytest.mark.filterwarnings("ignore:Not converged")
def test_images_and_masks_are_whatever_read_image_takes(two, tmp_path):
    expected = learnt_in_two_steps("nuclei", two.images, two.masks)
    for number, pixels in enumerate((two.images[0], two.masks[0])):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")

    forms = [
        ([str(tmp_path / "0.png"), two.images[1]], [tmp_path / "1.png", two.masks[1]]),
        ([Image.fromarray(i) for i in two.images], [Image.fromarray(m) for m in two.masks]),
        ([uh.read_image(i) for i in two.images], [uh.read_image(m) for m in two.masks]),
        ((torch.from_numpy(i) for i in two.images), (torch.from_numpy(m) for m in two.masks)),
    ]
    for images, masks in forms:
        assert torch.equal(learnt_in_two_steps("nuclei", images, masks), expected)


@pytest.mark.filterwarnings("ignore:Not converged")
def test_the_start_is_a_name_a_card_or_a_network_which_stays_as_it_is(two):
    expected = learnt_in_two_steps("nuclei", two.images, two.masks)
    network = uh.load_model("nuclei", trainable=True)
    folded = uh.load_model("nuclei")
    before = [tensor.clone() for tensor in network.state_dict().values()]

    for start in (uh.MODELS["nuclei"], network, folded):
        assert torch.equal(learnt_in_two_steps(start, two.images, two.masks), expected)
    assert network.card.name == "nuclei"
    for tensor, now in zip(before, network.state_dict().values(), strict=True):
        assert torch.equal(tensor, now)


def test_a_changed_network_without_batch_normalisation_is_refused(two):
    network = uh.load_model("nuclei")
    with torch.no_grad():
        network.conv.bias += 1
    with pytest.raises(uh.TrainingError, match="trainable=True"):
        uh.fine_tune(network, two.images, two.masks, classes=["disc"], size=64, steps=2)


def test_a_network_without_a_recipe_needs_classes(two):
    with pytest.raises(uh.TrainingError, match="small has no recipe of its own: name the classes"):
        uh.fine_tune(make_network(in_channels=3), two.images, two.masks)


@pytest.mark.parametrize(("sign", "kept"), [(1, True), (-1, False)])
def test_the_old_last_layer_stays_where_it_already_does_better(sign, kept):
    """One that answers the green channel fits a mask of bright pixels, and not of dark ones."""
    network = make_network(out_channels=1)
    network.logits = lambda x: network.conv(x[:, :1].expand(-1, network.features, -1, -1))
    new = network.conv
    old = torch.nn.Conv2d(network.features, 1, 1)
    with torch.no_grad():
        old.weight.fill_(20 * sign)
        old.bias.fill_(-10 * sign * network.features)

    pixels = np.random.default_rng(0).random((network.in_channels, 32, 32)).astype(np.float16)
    example = Example(pixels, (pixels[0] > 0.5).astype(np.uint8))
    assert keep_better_head(network, old, [example]) == kept
    assert network.conv is (old if kept else new)


def test_an_old_last_layer_for_other_classes_is_not_kept():
    network = make_network(out_channels=1)
    new = network.conv
    assert not keep_better_head(network, torch.nn.Conv2d(4, 3, 1), [])
    assert network.conv is new


def test_it_says_where_it_has_not_converged_and_keeps_its_curve(two):
    with pytest.warns(UserWarning, match="Not converged after 4 steps.*steps=8"):
        student = uh.fine_tune("nuclei", two.images, two.masks, classes=["disc"], size=64, steps=4)
    assert list(student.curve.columns) == ["step", "loss", "Dice"]
    assert student.curve.step.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("dice", "words"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], "Not converged"),
        ([0.5] * 5 + [0.70, 0.71, 0.73], "Not converged"),
        ([0.9] * 7, "Not converged after 7"),
        ([0.3] * 8, "fits its own images badly"),
        ([0.49] * 8, "fits its own images badly"),
    ],
)
def test_a_curve_that_has_not_settled_or_is_poor_is_doubted(dice, words):
    curve = pd.DataFrame({"step": range(1, len(dice) + 1), "loss": 1.0, "Dice": dice})
    said = finetune.doubts(curve)
    assert words in said
    assert f"steps={2 * len(dice)}" in said


@pytest.mark.parametrize(
    "dice",
    [[0.2, 0.5, 0.7, 0.8, 0.88, 0.9, 0.905, 0.91], [0.1] * 5 + [0.8, 0.81, 0.815], [0.5] * 8],
)
def test_a_curve_that_has_settled_is_not_doubted(dice):
    curve = pd.DataFrame({"step": range(1, len(dice) + 1), "loss": 1.0, "Dice": dice})
    assert finetune.doubts(curve) == ""


@pytest.mark.slow
def test_it_goes_on_in_rounds_until_it_has_settled(two, monkeypatch):
    monkeypatch.setattr(finetune, "STEPS_PER_ROUND", 8)
    monkeypatch.setattr(finetune, "doubts", lambda curve: "" if len(curve) == 24 else "not yet")
    student = uh.fine_tune("nuclei", two.images, two.masks, classes=["disc"], size=64)
    assert student.curve.step.tolist() == list(range(1, 25))


def test_it_gives_up_after_five_rounds(two, monkeypatch):
    monkeypatch.setattr(finetune, "STEPS_PER_ROUND", 1)
    with pytest.warns(UserWarning, match="Not converged after 5 steps"):
        student = uh.fine_tune("nuclei", two.images, two.masks, classes=["disc"], size=64)
    assert student.curve.step.tolist() == [1, 2, 3, 4, 5]


def test_it_goes_on_in_rounds_until_the_minutes_are_over(two, monkeypatch):
    """On a clock that goes on by a minute at each look: settled or not, there are three rounds."""
    monkeypatch.setattr(finetune, "STEPS_PER_ROUND", 2)
    monkeypatch.setattr(finetune.time, "monotonic", count(0, 60).__next__)
    with pytest.warns(UserWarning, match="Not converged after 6 steps"):
        student = uh.fine_tune(
            "nuclei", two.images, two.masks, classes=["disc"], size=64, minutes=2
        )
    assert student.curve.step.tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.filterwarnings("ignore:Not converged")
def test_a_seed_repeats_and_random_weights_are_others(two):
    def last_layer(**options) -> torch.Tensor:
        student = uh.fine_tune(
            "nuclei", two.images, two.masks, classes=["disc"], size=64, steps=1, **options
        )
        return student.conv.weight

    assert torch.equal(last_layer(), last_layer())
    assert not torch.equal(last_layer(), last_layer(seed=1))
    assert not torch.equal(last_layer(), last_layer(pretrained=False))


def two_touching_squares() -> tuple[np.ndarray, np.ndarray]:
    """Two bright squares that touch, and their ids, which need not start at 1."""
    pixels = np.full((96, 96), 20, np.uint8)
    ids = np.zeros((96, 96), np.uint16)
    ids[30:54, 20:44] = 900
    ids[30:54, 44:68] = 901
    pixels[ids > 0] = 200
    return pixels, ids


def test_nuclei_that_touch_get_a_border_between_their_ids():
    pixels, ids = two_touching_squares()
    network = uh.load_model("nuclei", trainable=True)
    assert set(np.unique(make_example(network, pixels, ids).target)) == {0, 1, 2}


def test_nuclei_of_a_plain_mask_are_its_components():
    pixels, ids = two_touching_squares()
    network = uh.load_model("nuclei", trainable=True)
    assert set(np.unique(make_example(network, pixels, ids > 0).target)) == {0, 1}


@pytest.mark.filterwarnings("ignore:Not converged")
def test_without_classes_the_card_keeps_its_task():
    pixels, ids = two_touching_squares()
    student = uh.fine_tune("nuclei", [pixels], [ids], steps=2, name="my_stain")
    assert student.out_channels == 3
    assert student.card.name == "my_stain"
    assert student.card.title == "My stain"
    assert student.card.preprocessing == uh.MODELS["nuclei"].preprocessing
    # Measured with other weights.
    assert student.card.scores == ()
    assert student.card.int8_ranges == ()


def test_two_classes_give_two_answers(two):
    masks = []
    for image, mask in zip(two.images, two.masks):
        is_dark = (image[..., 2] > 80) & (mask == 0)
        masks.append(np.where(mask > 0, 2, 0) + is_dark)
    with pytest.warns(UserWarning, match="Not converged"):
        student = uh.fine_tune(
            "nuclei", two.images, masks, classes=["dark", "bright"], size=96, steps=3
        )
    assert student.out_channels == 3
    assert uh.segment(two.images[0], student, progress=False).probabilities.shape[0] == 3


@pytest.mark.parametrize(
    ("images", "masks", "words"),
    [
        ([], [], "0 images"),
        ([np.zeros((9, 9))], [], "1 images and 0 masks"),
        ([np.zeros((9, 9))], [np.zeros((8, 9))], "make them alike"),
        ([np.zeros((5, 9, 9))], [np.zeros((5, 9, 9))], "volume.*give its slices"),
        ([np.zeros((32, 32))], [np.zeros((32, 32))], "masks are empty"),
    ],
)
def test_images_and_masks_that_do_not_go_together_are_refused(images, masks, words):
    with pytest.raises(uh.TrainingError, match=words):
        uh.fine_tune("nuclei", images, masks, classes=["x"])


@pytest.mark.parametrize(("largest", "names"), [(3, ["a", "b"]), (4, ["a", "b", "c"])])
def test_masks_with_more_classes_than_named_are_refused(largest, names):
    image = np.zeros((32, 32), np.uint8)
    with pytest.raises(uh.TrainingError, match=f"class {largest}, but the classes are a, b"):
        uh.fine_tune("nuclei", [image], [np.full((32, 32), largest)], classes=names)


@pytest.mark.parametrize(
    ("images", "masks", "classes"),
    [
        ("a.png", ["b.png"], ["spot"]),
        (["a.png"], Path("b.png"), ["spot"]),
        ([1], [1], "spot"),
        (Image.new("L", (8, 8)), [1], ["spot"]),
    ],
)
def test_a_single_path_image_or_name_is_no_list(images, masks, classes):
    with pytest.raises(uh.TrainingError, match="are lists"):
        uh.fine_tune("nuclei", images, masks, classes=classes)


@pytest.mark.parametrize(
    ("start", "size", "expected"), [("lungs", None, 256), ("nuclei", None, 128), ("lungs", 96, 96)]
)
def test_a_new_task_is_seen_at_the_scale_of_the_starting_card(start, size, expected):
    preprocessing = new_card(uh.MODELS[start], "mine", ("x",), size).preprocessing
    assert (preprocessing.scale, preprocessing.size) == ("square", expected)


@pytest.mark.parametrize("start", ["retinal_vessels", "em_membranes"])
def test_a_new_structure_is_measured_as_objects_whatever_the_start_was(start):
    card = new_card(uh.MODELS[start], "mine", ("spot",), None)
    assert (card.measures, card.objects, card.instance_method) == (
        "objects",
        "volumes",
        "components",
    )
    assert card.out_channels == 1
    assert card.in_channels == uh.MODELS[start].in_channels


def test_a_gentle_recipe_fits_the_size_of_the_images():
    def example(side: int, channels: int = 1) -> Example:
        return Example(np.zeros((channels, side, side)), np.zeros((side, side)))

    assert [recipe_for_new_task(example(s), False).crop for s in (9, 100, 128, 999)] == [
        16,
        96,
        128,
        256,
    ]
    assert [recipe_for_new_task(example(s), False).batch for s in (64, 128, 160, 256)] == [
        8,
        8,
        5,
        4,
    ]
    assert recipe_for_new_task(example(64, channels=3), False).colour == 0.2
    assert recipe_for_new_task(example(64), True).learning_rate == 1e-3
    assert recipe_for_new_task(example(64), False).learning_rate == 3e-3


def test_the_own_recipe_is_made_for_a_few_images():
    own = TASKS["nuclei"].recipe
    recipe = recipe_for_own_task(uh.MODELS["nuclei"], pretrained=True)
    assert (recipe.crop, recipe.batch, recipe.consistency, recipe.shares) == (192, 4, 0.0, {})
    assert recipe.learning_rate == 5e-4
    assert recipe.elastic == own.elastic
    assert recipe_for_own_task(uh.MODELS["nuclei"], pretrained=False).learning_rate == 2e-3


def test_only_the_eye_is_learnt_from():
    """As the task of the card does it; the mask stays where the vessel is."""
    y, x = np.mgrid[:300, :400]
    inside = (y - 140) ** 2 + (x - 230) ** 2 < 110**2
    line = inside & (np.abs(x - y - 90) < 6)
    light = np.random.default_rng(0).normal(150, 6, (300, 400)) * inside - 60.0 * line
    pixels = np.repeat(np.clip(light, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)

    network = uh.load_model("retinal_vessels", trainable=True)
    example = make_example(network, pixels, line)
    assert example.pixels.shape[1:] == example.target.shape
    assert example.pixels[0][example.target == 1].mean() < 0.35
    assert example.pixels[0][example.target == 0].mean() > 0.45


@pytest.fixture
def first_examples(monkeypatch):
    """``fine_tune`` without training: returns the examples that it would learn from."""

    def learn(*given, **options):
        made = []

        def keep(network, examples, *_):
            made.extend(examples)
            raise KeyboardInterrupt

        monkeypatch.setattr(finetune, "fit_in_rounds", keep)
        with pytest.raises(KeyboardInterrupt):
            uh.fine_tune("nuclei", *given, classes=["disc"], size=64, **options)
        return made

    return learn


def assert_same_examples(examples, expected):
    assert len(examples) == len(expected)
    for example, other in zip(examples, expected, strict=True):
        np.testing.assert_array_equal(example.pixels, other.pixels)
        np.testing.assert_array_equal(example.target, other.target)


def test_pictures_and_tensors_teach_the_same_as_arrays(two, first_examples):
    expected = first_examples(two.images, two.masks)
    pictures = [Image.fromarray(image) for image in two.images]
    masks = [Image.fromarray(mask) for mask in two.masks]
    assert_same_examples(first_examples(pictures, masks), expected)

    # As PyTorch's data sets give them: channels first, also as one batch.
    batch = torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in two.images])
    masks = torch.stack([torch.from_numpy(mask)[None] for mask in two.masks])
    assert_same_examples(first_examples(batch, masks), expected)
    assert_same_examples(first_examples(list(batch), list(masks[:, 0] > 0)), expected)


@pytest.mark.parametrize("ending", ["", "_mask", "-labels", "_seg", "_GT"])
def test_two_folders_are_paired_by_name(ending, two, first_examples, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number, (image, mask) in enumerate(zip(two.images, two.masks, strict=True)):
        Image.fromarray(image).save(tmp_path / f"images/cell_{number}.png")
        Image.fromarray(mask).save(tmp_path / f"masks/cell_{number}{ending}.tif")
    (tmp_path / "images/.DS_Store").write_text("hidden")
    (tmp_path / "masks/notes.txt").write_text("drawn on Monday")
    # The mask of an image that is not there is left out.
    Image.fromarray(two.masks[0]).save(tmp_path / "masks/another.png")

    expected = first_examples(two.images, two.masks)
    assert_same_examples(first_examples(tmp_path / "images", str(tmp_path / "masks")), expected)


def test_an_image_without_a_mask_of_its_name_is_named(two, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    Image.fromarray(two.images[0]).save(tmp_path / "images/a.png")
    Image.fromarray(two.masks[0]).save(tmp_path / "masks/b.png")
    with pytest.raises(uh.TrainingError, match=r"no mask of the same name for a\.png \(1 of 1"):
        uh.fine_tune("nuclei", tmp_path / "images", tmp_path / "masks", classes=["disc"])
    with pytest.raises(uh.TrainingError, match="no such folder"):
        uh.fine_tune("nuclei", tmp_path / "imagse", tmp_path / "masks", classes=["disc"])
    with pytest.raises(uh.TrainingError, match="lists, or two folders"):
        uh.fine_tune("nuclei", tmp_path / "images", two.masks, classes=["disc"])
    with pytest.raises(uh.TrainingError, match=r"a file\. Give a folder, or a list"):
        uh.fine_tune("nuclei", tmp_path / "images/a.png", tmp_path / "masks", classes=["disc"])


def test_classes_of_a_mask_with_a_palette_are_its_indices(tmp_path):
    network = make_network(out_channels=3)
    image = np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8)
    classes = np.zeros((32, 32), np.uint8)
    classes[:8], classes[20:] = 1, 2
    mask = Image.fromarray(classes)
    mask.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    mask.save(tmp_path / "mask.png")
    expected = make_example(network, image, classes)
    for given in (mask, tmp_path / "mask.png"):
        np.testing.assert_array_equal(make_example(network, image, given).target, expected.target)


def test_a_check_of_a_later_round_counts_the_steps_of_the_earlier_ones():
    seen = []
    at_check = finetune.after_steps(60, lambda network, point: seen.append((network, point.step)))
    network = make_network()
    at_check(network, finetune.CurvePoint(step=8, loss=1.0, validation_dice=0.5))
    assert seen == [(network, 68)]
    assert finetune.after_steps(60, None) is None


# sparse masks


def test_255_is_not_known_beside_other_values():
    network = make_network(scale="square", size=48)
    image = np.zeros((48, 48), np.uint8)
    mask = np.full((48, 48), 255, np.uint8)
    mask[:10], mask[20:30] = 0, 1
    target = make_example(network, image, mask).target
    np.testing.assert_array_equal(target, mask)


def test_255_alone_is_the_white_of_a_plain_mask():
    network = make_network(scale="square", size=48)
    image = np.zeros((48, 48), np.uint8)
    mask = np.zeros((48, 48), np.uint8)
    mask[20:30] = 255
    assert set(np.unique(make_example(network, image, mask).target)) == {0, 1}


def test_one_sparse_mask_says_what_255_means_in_all():
    network = make_network(scale="square", size=48)
    image = np.zeros((48, 48), np.uint8)
    sparse = np.full((48, 48), 255, np.uint8)
    sparse[:10], sparse[20:30] = 0, 1
    only_background = np.full((48, 48), 255, np.uint8)
    only_background[:10] = 0
    pairs = [Pair(image, sparse), Pair(image, only_background)]
    _, second = make_examples(network, read_pairs(pairs))
    assert set(np.unique(second.target)) == {0, 255}


def test_with_several_classes_255_is_never_a_class():
    network = make_network(out_channels=3, scale="square", size=48)
    image = np.zeros((48, 48), np.uint8)
    mask = np.full((48, 48), 255, np.uint8)
    mask[:10] = 0
    assert set(np.unique(make_example(network, image, mask).target)) == {0, 255}


def test_a_batch_of_which_nothing_is_known_has_no_loss():
    from unet_helpers.training.losses import segmentation_loss

    logits = torch.randn(1, 1, 8, 8, requires_grad=True)
    loss = segmentation_loss(logits, torch.full((1, 8, 8), 255))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(logits.grad).all()


def balls(seed: int, shape=(28, 30, 31)) -> tuple[np.ndarray, np.ndarray]:
    """A grey volume of bright and dark balls on noise, and the mask (0, 1) of the bright."""
    rng = np.random.default_rng(seed)
    values = rng.normal(100, 15, shape)
    mask = np.zeros(shape, np.uint8)
    for is_bright in (False, True, False, True):
        centre = [rng.integers(8, side - 8) for side in shape]
        axes = np.ogrid[tuple(slice(side) for side in shape)]
        distances = sum((axis - at) ** 2 for axis, at in zip(axes, centre))
        inside = distances < rng.integers(5, 8) ** 2
        values[inside] = rng.normal(180 if is_bright else 30, 15, inside.sum())
        mask[inside] = is_bright
    return values.clip(0, 255).astype(np.uint8), mask


@pytest.mark.filterwarnings("ignore:Not converged")
def test_a_structure_of_volumes_is_learnt_by_a_network_for_volumes(tmp_path):
    pairs = [balls(seed) for seed in range(3)]
    student = uh.fine_tune(
        make_network(dims=3),
        [values for values, _ in pairs],
        [mask for _, mask in pairs],
        classes=["bright ball"],
        steps=120,
        save_to=tmp_path / "balls.safetensors",
    )
    assert student.dims == student.card.preprocessing.dims == 3
    values, truth = balls(9)
    again = uh.load_model(tmp_path / "balls.safetensors")
    assert uh.dice(truth, uh.segment(values, again, progress=False).labels) > 0.7


def test_a_volume_is_learnt_at_the_spacing_of_the_card():
    network = make_network(dims=3, spacing=1.0)
    values, mask = balls(0)
    example = make_example(network, nifti(values, spacing=(2.0, 1.0, 0.5)), mask)
    # The axes of the example are those to the head, back and left.
    assert example.target.shape == (16, 30, 56)
    assert example.pixels.shape == (1, 16, 30, 56)
    assert set(np.unique(example.target)) == {0, 1}
    assert example.target.mean() == pytest.approx(mask.mean(), rel=0.1)
    bright = example.pixels[0][example.target == 1].mean()
    assert bright > example.pixels[0][example.target == 0].mean() + 0.2


@pytest.mark.parametrize("shape", [(32, 32), (32, 32, 3), (4, 32, 32, 3)])
def test_a_network_for_volumes_learns_from_grey_volumes_only(shape):
    image = uh.read_image(np.zeros(shape, np.uint8))
    mask = np.zeros(image.spatial_shape, np.uint8)
    with pytest.raises(uh.TrainingError, match="reads grey volumes"):
        uh.fine_tune(make_network(dims=3), [image], [mask], classes=["x"])


def test_volumes_have_no_square():
    values, mask = balls(0)
    with pytest.raises(uh.TrainingError, match="leave out size"):
        uh.fine_tune(make_network(dims=3), [values], [mask], classes=["x"], size=64)


def test_the_own_recipe_of_volumes_is_that_of_volumes():
    card = uh.MODELS["hippocampus"]
    whole = replace(card.preprocessing, dims=3, axes=(0,), context=0)
    own = TASKS["hippocampus"].volume_recipe
    recipe = recipe_for_own_task(replace(card, preprocessing=whole), pretrained=True)
    assert (recipe.crop, recipe.batch) == (40, 2)
    assert recipe.downsample == own.downsample != TASKS["hippocampus"].recipe.downsample
    assert recipe.learning_rate == 5e-4


def test_a_card_of_slices_has_no_recipe_for_volumes():
    card = uh.MODELS["lungs"]
    whole = Preprocessing(dims=3, spacing=1.0)
    with pytest.raises(uh.TrainingError, match="not from whole volumes"):
        recipe_for_own_task(replace(card, preprocessing=whole), pretrained=True)


def test_a_mask_that_is_turned_against_its_volume_is_refused():
    values, mask = balls(0)
    turned = nifti(mask[::-1], directions=(-1, 1, 1))
    with pytest.raises(uh.TrainingError, match="lies elsewhere or is turned"):
        read_pairs([Pair(nifti(values), turned)])
    (pair,) = read_pairs([Pair(nifti(values), nifti(mask))])
    np.testing.assert_array_equal(pair.mask, mask)


def test_masks_hold_whole_numbers():
    """Scaled NIfTI files hold numbers such as 1.99998."""
    two_classes = make_network(3, scale="square", size=32)
    image = np.zeros((32, 32))
    assert (make_example(two_classes, image, np.full((32, 32), 1.99998)).target == 2).all()
    with pytest.raises(uh.TrainingError, match="not whole numbers"):
        make_example(two_classes, image, np.full((32, 32), 0.5))


@pytest.mark.parametrize("shape", [(32, 32), (32, 32, 1)])
def test_of_one_class_all_values_above_0_are_the_class(shape):
    one_class = make_network(scale="square", size=32)
    soft = np.zeros(shape)
    soft[8:16] = 0.5
    target = make_example(one_class, np.zeros((32, 32)), soft).target
    assert (target[8:16] == 1).all()
    assert target.sum() == 8 * 32


def test_small_voxels_have_small_tolerances():
    values, mask = balls(0)
    image = nifti(values, (1e-3, 1e-3, 1e-3))
    turned = nifti(mask, (1e-3, 1e-3, 1e-3), directions=(-1, 1, 1))
    with pytest.raises(uh.TrainingError, match="lies elsewhere or is turned"):
        read_pairs([Pair(image, turned)])


def test_padding_of_a_volume_is_not_learnt_from():
    values, mask = balls(0)
    padded = np.pad(values.astype(np.int16), ((0, 0), (6, 6), (0, 0)), constant_values=-2000)
    network = make_network(dims=3)
    example = make_example(network, padded, np.pad(mask, ((0, 0), (6, 6), (0, 0))))
    plain = make_example(network, values.astype(np.int16), mask)
    np.testing.assert_array_equal(example.target, plain.target)
    np.testing.assert_allclose(example.pixels, plain.pixels, atol=1e-3)


def test_volumes_of_a_new_task_are_seen_at_their_median_spacing():
    values, _ = balls(0)
    steps = [(1e-3, 1e-3, 1e-3), (2e-3, 2e-3, 2e-3), (8e-3, 2e-3, 4e-3)]
    images = [nifti(values, spacing) for spacing in steps]
    assert usual_spacing(images) == pytest.approx(2e-3)
    assert usual_spacing([*images, uh.read_image(values)]) is None
    card = new_card(make_network(dims=3, spacing=1.0).card, "mine", ("x",), None, images)
    assert card.preprocessing.spacing == pytest.approx(2e-3)


def test_a_volume_is_scored_around_what_is_marked():
    target = np.zeros((40, 50, 60), np.uint8)
    target[20, 5:10, 30] = 1
    target[0] = IGNORED
    example = around_structure(Example(np.zeros((1, *target.shape)), target), margin=4)
    assert example.target.shape == (9, 13, 9)
    assert example.pixels.shape == (1, 9, 13, 9)
    assert (example.target == 1).sum() == 5


def test_windows_of_volumes_are_smaller_and_fewer():
    volume = Example(np.zeros((1, 40, 64, 90)), np.zeros((40, 64, 90)))
    recipe = recipe_for_new_task(volume, kept_head=False)
    assert (recipe.crop, recipe.batch) == (32, 4)
    large = Example(np.zeros((1, 90, 90, 90)), np.zeros((90, 90, 90)))
    recipe = recipe_for_new_task(large, kept_head=False)
    assert (recipe.crop, recipe.batch) == (48, 2)
    thin = Example(np.zeros((1, 12, 90, 90)), np.zeros((12, 90, 90)))
    assert recipe_for_new_task(thin, kept_head=False).crop == 32
