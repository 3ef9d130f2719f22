"""Strokes teach a classifier; what was painted stands; undo, files, and networks from strokes."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unet_helpers as uh
from unet_helpers.annotate.painter import Painter
from unet_helpers.networks.pixel_classifier import PixelClassifier, sample_maps
from unet_helpers.results.by_hand import UNDECIDED

SIDE = 96


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Two bright squares on a dark, noisy ground."""
    image = np.random.default_rng(0).normal(40, 8, (SIDE, SIDE))
    image[10:40, 10:40] += 100
    image[55:85, 50:90] += 100
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[10:40, 10:40] = mask[55:85, 50:90] = True
    return mask


@pytest.fixture
def painter(pixels) -> Painter:
    painter = uh.Painter(pixels, "filters")
    painter.stroke([(25, 15), (25, 35)], "square")
    painter.stroke([(47, 5), (47, 90)], "background")
    return painter


def test_two_strokes_find_both_squares(painter, truth):
    result = painter.result()
    assert uh.dice(truth, result.labels) > 0.85
    table = result.measure()
    assert len(table) == result.objects.max()
    assert (table.area_px > 100).sum() == 2


def test_with_one_class_only_what_was_painted_is_found(pixels):
    painter = uh.Painter(pixels, "filters")
    painter.stroke([(25, 15), (25, 35)], "square", width=3)
    assert np.count_nonzero(painter.result().labels) == np.count_nonzero(painter.mask() == 1)


def test_a_third_class_is_added_by_its_name(painter):
    painter.stroke([(70, 60), (70, 80)], "other")
    result = painter.result()
    assert painter.classes == ("background", "square", "other")
    assert result.card.out_channels == 3
    assert result.probabilities.sum(0) == pytest.approx(1, abs=1e-4)
    assert set(np.unique(result.labels)) == {0, 1, 2}


def test_a_class_of_which_nothing_was_painted_is_not_found(pixels):
    painter = uh.Painter(pixels, "filters", classes=["square", "never"])
    painter.stroke([(25, 15), (25, 35)], "square")
    painter.stroke([(47, 5), (47, 90)], "background")
    result = painter.result()
    assert np.isfinite(result.probabilities).all()
    assert result.probabilities[2].max() < 1e-6


def test_a_hundred_random_strokes_never_overrule_what_was_painted(painter):
    """The latest stroke on a pixel stands, whatever the classifier learns from later ones."""
    rng = np.random.default_rng(7)
    expected = painter.mask()
    for _ in range(100):
        points = rng.uniform(0, SIDE, (3, 2))
        name = str(rng.choice(["background", "square", "other"]))
        width = float(rng.uniform(1, 6))
        painter.stroke(points, name, width)

        stroke = painter.strokes[-1]
        expected[stroke.mask((SIDE, SIDE))] = painter.classes.index(name)
        labels = painter.result().labels
        known = expected != UNDECIDED
        assert (labels[known] == expected[known]).all()


def test_corrections_survive_a_hundred_further_strokes(painter):
    painter.remove((70, 70))
    removed = painter.result().by_hand.decided == 0
    rng = np.random.default_rng(8)
    for _ in range(100):
        # In the upper part, where nothing was removed.
        points = rng.uniform((0, 0), (45, SIDE), (2, 2))
        painter.stroke(points, str(rng.choice(["background", "square"])), width=2)
    labels = painter.result().labels
    assert removed[60:80, 55:85].all()
    assert not labels[60:80, 55:85].any()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["stroke", "erase", "undo", "redo"]), max_size=12), st.randoms())
def test_undo_and_redo_give_the_states_of_before(pixels_small, actions, random):
    """As a list of states and a position in it would."""
    painter = uh.Painter(pixels_small, "filters", classes=["a"])
    states, position = [painter.mask()], 0
    for action in actions:
        points = [(random.uniform(0, 32), random.uniform(0, 32)) for _ in range(2)]
        if action == "stroke":
            painter.stroke(points, "a")
        elif action == "erase":
            painter.erase(points)
        elif action == "undo":
            assert painter.undo() == (position > 0)
            position = max(0, position - 1)
        else:
            assert painter.redo() == (position < len(states) - 1)
            position = min(len(states) - 1, position + 1)
        if action in ("stroke", "erase"):
            states = [*states[: position + 1], painter.mask()]
            position += 1
        np.testing.assert_array_equal(painter.mask(), states[position])
        assert len(painter.strokes) == position


@pytest.fixture(scope="module")
def pixels_small() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (32, 32)).astype(np.uint8)


def test_the_eraser_makes_pixels_unknown_again(painter):
    painter.erase([(25, 15), (25, 35)], width=9)
    assert (painter.mask() != 1).all()
    assert painter.result().by_hand.decided[25, 20] == UNDECIDED


def test_strokes_come_back_from_their_file(painter, pixels, tmp_path):
    painter.save_strokes(tmp_path / "strokes.json")
    again = uh.Painter(pixels, "filters")
    assert again.load_strokes(tmp_path / "strokes.json") == 2
    np.testing.assert_array_equal(again.result().labels, painter.result().labels)


def test_strokes_of_another_image_are_refused(painter, pixels, tmp_path):
    painter.save_strokes(tmp_path / "strokes.json")
    with pytest.raises(uh.ArgumentError, match="something else"):
        uh.Painter(pixels[::-1], "filters").load_strokes(tmp_path / "strokes.json")


def test_a_damaged_file_of_strokes_is_named(painter, tmp_path):
    (tmp_path / "strokes.json").write_text('{"strokes": [{"tool": "dance"}]}')
    with pytest.raises(uh.ImageError, match=r"strokes\.json is no file of strokes"):
        painter.load_strokes(tmp_path / "strokes.json")


@pytest.mark.parametrize(
    ("points", "name", "width", "message"),
    [
        ([(1, 2, 3)], "square", 5, "shape"),
        ([], "square", 5, "shape"),
        ("nonsense", "square", 5, "no list"),
        ([(np.nan, 2)], "square", 5, "finite"),
        ([(1, 2)], "", 5, "name of a class"),
        ([(1, 2)], "square", 0, "width"),
    ],
)
def test_a_stroke_that_makes_no_sense_is_refused_and_changes_nothing(
    painter, points, name, width, message
):
    with pytest.raises(uh.ArgumentError, match=message):
        painter.stroke(points, name, width)
    assert len(painter.strokes) == 2


def test_a_stack_is_refused(pixels):
    with pytest.raises(uh.ArgumentError, match="one slice"):
        uh.Painter(np.stack([pixels] * 3))


def test_there_are_no_more_classes_than_colours(painter):
    for number in range(6):
        painter.stroke([(3, 3)], f"class {number}")
    with pytest.raises(uh.ArgumentError, match="at most 7"):
        painter.stroke([(3, 3)], "one too many")


# what was learnt, as a file


@pytest.mark.parametrize("model", ["filters", "nuclei"])
def test_the_saved_classifier_answers_as_the_painter_does(pixels, tmp_path, model):
    painter = uh.Painter(pixels, model)
    painter.stroke([(25, 15), (25, 35)], "square")
    painter.stroke([(47, 5), (47, 90)], "background")
    painter.save(tmp_path / "mine.safetensors")

    network = uh.load_model(tmp_path / "mine.safetensors")
    assert isinstance(network, PixelClassifier)
    result = uh.segment(pixels, network, progress=False)
    painted = painter.mask()
    answer = painter.result()
    unknown = painted == UNDECIDED
    difference = abs(result.probabilities - answer.probabilities)[:, unknown]
    assert difference.max() < 0.02
    assert result.card.classes == ("square",)


def test_a_whole_folder_is_segmented_by_what_was_painted(painter, pixels, tmp_path):
    from PIL import Image

    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images/one.png")
    painter.save(tmp_path / "mine.safetensors")
    table = uh.segment_folder(
        tmp_path / "images", tmp_path / "mine.safetensors", tmp_path / "results"
    )
    assert len(table) == 1
    assert list((tmp_path / "results").glob("**/*_painted.json"))


def test_nothing_is_saved_before_two_classes_were_painted(pixels, tmp_path):
    painter = uh.Painter(pixels, "filters")
    painter.stroke([(25, 15)], "square")
    with pytest.raises(uh.ArgumentError, match="two classes"):
        painter.save(tmp_path / "mine.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_classifier_runs_with_torch_only(painter, tmp_path):
    painter.save(tmp_path / "mine.safetensors")
    with pytest.raises(uh.ArgumentError, match="torch"):
        uh.load_model(tmp_path / "mine.safetensors", engine="openvino")


def test_a_classifier_is_no_start_for_another(painter, pixels, tmp_path):
    painter.save(tmp_path / "mine.safetensors")
    with pytest.raises(uh.ArgumentError, match="itself taught"):
        uh.Painter(pixels, tmp_path / "mine.safetensors")


def test_large_images_are_computed_in_tiles_without_seams(monkeypatch, pixels):
    from unet_helpers.annotate import features

    def answer() -> np.ndarray:
        painter = uh.Painter(np.tile(pixels, (3, 3)), "filters")
        painter.stroke([(25, 15), (25, 35)], "square")
        painter.stroke([(47, 5), (47, 90)], "background")
        return painter.result().probabilities

    whole = answer()
    monkeypatch.setattr(features, "TILE", 224)
    in_tiles = answer()
    assert abs(whole - in_tiles).max() < 0.02


def test_maps_are_sampled_as_they_are_enlarged():
    import torch
    from torch.nn import functional

    coarse = torch.rand(1, 4, 5, 6)
    fine = torch.rand(1, 2, 20, 24)
    enlarged = functional.interpolate(coarse, size=(20, 24), mode="bilinear")
    points = np.argwhere(np.ones((20, 24), bool))
    sampled = sample_maps([fine, coarse], points)
    expected = torch.cat([fine, enlarged], dim=1)[0].flatten(1).T
    assert torch.allclose(sampled, expected, atol=1e-5)


# results


def test_the_manifest_says_what_was_done_by_hand(painter, tmp_path):
    paths = painter.result().save(tmp_path)
    facts = json.loads(paths["manifest"].read_text())
    assert facts["by_hand"]["actions"] == {"stroke": 2}
    assert facts["by_hand"]["pixels"]["square"] == np.count_nonzero(painter.mask() == 1)
    assert 0 < facts["by_hand"]["share"] < 0.1


def test_another_stroke_is_another_result_on_disk(painter, tmp_path):
    painter.result().save(tmp_path)
    painter.stroke([(80, 10)], "square")
    with pytest.raises(uh.SaveError, match="already holds"):
        painter.result().save(tmp_path)


def test_the_expected_dice_is_withheld(painter):
    assert painter.result().expected_dice is None
    assert "by hand" in painter.result().expected_dice_reason


# several images, and networks


def test_the_next_image_is_answered_before_it_is_painted(painter, pixels, truth):
    following = painter.next_image(pixels[:, ::-1].copy())
    assert uh.dice(truth[:, ::-1], following.result().labels) > 0.85
    assert following.strokes == ()


def test_an_image_of_other_channels_is_refused(painter, pixels):
    with pytest.raises(uh.ArgumentError, match="in colour"):
        painter.next_image(np.dstack([pixels] * 3))


def test_the_least_sure_image_is_suggested(painter, pixels):
    doubtful = np.clip(pixels.astype(float) * 0.1 + 90, 0, 255).astype(np.uint8)
    doubtful[::2] = 120
    assert painter.suggest_next([pixels, doubtful, pixels]) == 1


def test_the_learning_curve_has_a_point_for_each_stroke(painter, pixels, truth):
    painter.stroke([(70, 55), (70, 85)], "square")
    curve = painter.learning_curve([pixels[::-1]], [truth[::-1]])
    assert list(curve["strokes"]) == [2, 3]
    assert curve["Dice"].iloc[-1] > 0.8


def test_a_network_learns_from_strokes_alone(painter, pixels, tmp_path):
    with pytest.warns(UserWarning, match="Not converged"):
        network = painter.fine_tune(steps=6, size=48)
    assert network.card.classes == ("square",)
    painter.save(tmp_path / "mine.safetensors")
    assert not isinstance(uh.load_model(tmp_path / "mine.safetensors"), PixelClassifier)

    # After another stroke the network is out of date.
    painter.stroke([(80, 10)], "background")
    painter.save(tmp_path / "mine.safetensors")
    assert isinstance(uh.load_model(tmp_path / "mine.safetensors"), PixelClassifier)


def test_a_stroke_beside_the_image_is_refused_and_one_across_its_rim_is_not(painter):
    count = len(painter.strokes)
    with pytest.raises(uh.ArgumentError, match="outside the image"):
        painter.stroke([(5000, 10)], "square")
    assert len(painter.strokes) == count
    painter.stroke([(10, -20), (10, 20)], "background")
    assert len(painter.strokes) == count + 1
