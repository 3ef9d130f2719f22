"""One way through: a single image is a stack of one slice, and both are answered alike."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.drawn import draw_nuclei
from helpers.networks import make_network
from skimage.transform import rescale

import unet_helpers as uh
from unet_helpers.images.stack import as_displayed, frames, from_stack, to_stack
from unet_helpers.inference import stack_prediction
from unet_helpers.inference.segment import load_named
from unet_helpers.inference.settings import check_settings
from unet_helpers.networks.card import name_sides

# The weights of the published network are downloaded.
SHIPPED = [name for name in uh.MODELS if name != "brain_flair_buda2019"]


@pytest.fixture(scope="module")
def large_nuclei() -> np.ndarray:
    """Drawn nuclei at twice the size that the network works at."""
    return (rescale(draw_nuclei(24, 256)[0] / 255.0, 2.0, order=1) * 255).astype(np.uint8)


def test_a_stack_keeps_its_zoom_and_counts_what_each_slice_counts_alone(large_nuclei):
    alone = uh.segment(large_nuclei, "nuclei", flips=1, progress=False)
    stack = uh.segment(np.stack([large_nuclei] * 2), "nuclei", flips=1, progress=False)
    assert alone.zoom < 0.8
    assert stack.zoom == pytest.approx(alone.zoom)

    # Of equal slices each object goes through both.
    assert stack.objects.max() == alone.objects.max() > 10
    np.testing.assert_allclose(stack.probabilities[:, 1], alone.probabilities, atol=1e-5)


@pytest.mark.parametrize("card", ["nuclei", "lungs", "brain_flair"])
def test_a_colour_slice_is_answered_alike_alone_and_in_a_stack(card):
    """The levels of a stack ignored the card's channels: answers differed by 0.035."""
    tissue = uh.read_image(uh.sample("ihc")).pixels[:160, :160]
    alone = uh.segment(tissue, card, flips=1, progress=False)
    stack = uh.segment(np.stack([tissue] * 3), card, flips=1, progress=False)
    np.testing.assert_allclose(stack.probabilities[:, 1], alone.probabilities, atol=2e-3)


def series_image(order: str) -> tuple[uh.MedicalImage, np.ndarray]:
    """A volume as a DICOM series gives it, sliced in another direction, and its axial stack."""
    # Axes up, back and to the left.
    axial = np.random.default_rng(0).integers(0, 255, (6, 7, 8)).astype(np.int16)
    axes_of_series = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}[order]
    pixels = axial.transpose(axes_of_series)

    # What a step along each axis of the affine is, to the right, front and head.
    steps = {"axial": "XYZ", "coronal": "XZY", "sagittal": "YZX"}[order]
    directions = {"X": (-1, 0, 0), "Y": (0, -1, 0), "Z": (0, 0, 1)}
    affine = np.eye(4)
    for column, step in enumerate(steps):
        affine[:3, column] = directions[step]

    # Rows of other series run from head to feet.
    if order != "axial":
        pixels = pixels[:, ::-1]
        affine[:3, 1] *= -1
    return uh.MedicalImage(pixels, "ZYX", (1.0, 1.0, 1.0), affine), axial


@pytest.mark.parametrize("order", ["axial", "coronal", "sagittal"])
def test_a_series_of_any_direction_reaches_the_network_as_axial_slices(order):
    image, axial = series_image(order)
    np.testing.assert_array_equal(to_stack(image).pixels, axial)
    np.testing.assert_array_equal(from_stack(image, axial[None])[0], image.pixels)
    np.testing.assert_array_equal(as_displayed(image, image.pixels), axial)


@pytest.mark.parametrize("order", ["coronal", "sagittal"])
def test_its_answer_is_that_of_the_axial_series(order):
    network = make_network(context=1, in_channels=3, channels="grey")
    answers = []
    for name in ("axial", order):
        image, _ = series_image(name)
        result = uh.segment(image, network, progress=False)
        answers.append(as_displayed(image, result.foreground))
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-6)
    assert answers[0].std() > 1e-3


def test_frames_of_a_movie_are_answered_one_by_one():
    network = make_network(context=1, in_channels=3, channels="grey")
    rng = np.random.default_rng(1)
    movie = uh.MedicalImage(rng.integers(0, 255, (3, 20, 30)).astype(np.uint8), "TYX")
    result = uh.segment(movie, network, progress=False)
    assert result.probabilities.shape == (1, 3, 20, 30)
    assert len(list(frames(movie))) == 3

    # No frame is a neighbour of another.
    for i, pixels in enumerate(movie.pixels):
        alone = uh.segment(pixels, network, progress=False)
        np.testing.assert_allclose(result.probabilities[:, i], alone.probabilities, atol=1e-6)


def test_volumes_of_a_movie_are_answered_one_by_one():
    network = make_network(context=1, in_channels=3, channels="grey")
    rng = np.random.default_rng(1)
    movie = uh.MedicalImage(rng.integers(0, 255, (2, 4, 20, 30)).astype(np.uint8), "TZYX")
    result = uh.segment(movie, network, flips=2, progress=False)
    assert result.objects.shape == result.spread.shape == (2, 4, 20, 30)
    for i, pixels in enumerate(movie.pixels):
        alone = uh.segment(pixels, network, flips=2, progress=False)
        np.testing.assert_allclose(result.probabilities[:, i], alone.probabilities, atol=1e-6)
        np.testing.assert_allclose(result.spread[i], alone.spread, atol=1e-6)


def test_a_movie_that_lies_in_space_comes_back_in_the_files_order():
    network = make_network()
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, (2, 3, 20, 24)).astype(np.uint8)
    affine = np.diag([-1.0, 1.0, -1.0, 1.0])
    movie = uh.MedicalImage(pixels, "TZYX", (1.0, 1.0, 1.0), affine)
    result = uh.segment(movie, network, progress=False)
    for i in range(2):
        frame = uh.MedicalImage(pixels[i], "ZYX", (1.0, 1.0, 1.0), affine)
        alone = uh.segment(frame, network, progress=False)
        np.testing.assert_allclose(result.probabilities[:, i], alone.probabilities, atol=1e-6)


def test_averaging_keeps_its_spread_so_that_no_second_run_is_needed():
    network = make_network()
    image = np.random.default_rng(2).integers(0, 255, (24, 31)).astype(np.uint8)
    assert uh.segment(image, network, flips=1, progress=False).spread is None
    spread = uh.segment(image, network, flips=4, progress=False).spread
    assert spread.shape == (24, 31)
    assert spread.max() > 1e-3


def test_tab_completion_offers_what_is_loaded_later():
    assert {"show", "fine_tune", "segment", "__version__"} <= set(dir(uh))


def test_a_network_without_a_card_is_refused_in_words():
    with pytest.raises(uh.ModelError, match="no card"):
        uh.segment(np.zeros((8, 8), np.uint8), uh.UNet(1, 1))


def test_text_for_the_eye_steers_no_computation():
    network = make_network()
    pixels = np.random.default_rng(3).integers(0, 255, (24, 31, 3)).astype(np.uint8)
    before = uh.segment(pixels, network, progress=False)
    network.card = replace(network.card, modality="colour photograph of FLAIR", title="FLAIR")
    after = uh.segment(pixels, network, progress=False)
    assert after.warnings == before.warnings
    np.testing.assert_array_equal(after.probabilities, before.probabilities)


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 2},
        {"threshold": -0.1},
        {"threshold": "0.3"},
        {"threshold": float("nan")},
        {"flips": 3},
        {"zoom": 0},
        {"zoom": 100},
        {"zoom": "2"},
        {"nonsense": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused_in_words(options):
    with pytest.raises(uh.ArgumentError, match=next(iter(options))) as caught:
        uh.segment(np.zeros((8, 8), np.uint8), make_network(), **options)
    assert isinstance(caught.value, uh.UNetHelpersError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("options", [{"threshold": 0}, {"threshold": 1}, {"zoom": 99.9}])
def test_settings_at_their_limits_are_taken(options):
    settings = check_settings(make_network().card, **options)
    assert settings.threshold == options.get("threshold", 0.5)
    assert settings.zoom == options.get("zoom")
    assert settings.flips == 1


def test_no_network_is_taken_silently():
    with pytest.raises(uh.ModelError, match=r"nuclei.*retinal_vessels"):
        uh.segment(np.zeros((8, 8), np.uint8))


def test_a_movie_has_one_scale():
    """A frame with nothing in it would else be split with thresholds of another scale."""
    pixels = draw_nuclei(12, 256)[0]
    large = (rescale(pixels / 255.0, 2.0, order=1) * 255).astype(np.uint8)
    movie = uh.MedicalImage(np.stack([large, np.roll(large, 9, 0)]), "TYX")
    result = uh.segment(movie, "nuclei", flips=1, progress=False)
    alone = uh.segment(large, "nuclei", flips=1, progress=False)
    assert result.zoom == alone.zoom < 0.8
    np.testing.assert_allclose(result.probabilities[:, 0], alone.probabilities, atol=1e-5)
    other = uh.segment(movie.pixels[1], "nuclei", flips=1, zoom=alone.zoom, progress=False)
    np.testing.assert_allclose(result.probabilities[:, 1], other.probabilities, atol=1e-5)


def test_a_named_network_is_loaded_once():
    load_named.cache_clear()
    for _ in range(3):
        uh.segment(np.eye(20, dtype=np.uint8), "nuclei", progress=False, zoom=1)
    assert load_named.cache_info().misses == 1


def test_a_callers_own_network_is_taken_as_it_is():
    load_named.cache_clear()
    network = uh.load_model("nuclei")
    uh.segment(np.eye(20, dtype=np.uint8), network, progress=False, zoom=1)
    assert load_named.cache_info().misses == 0


def test_a_network_may_be_given_by_its_card():
    pixels = np.random.default_rng(3).integers(0, 255, (40, 48)).astype(np.uint8)
    by_card = uh.segment(pixels, uh.MODELS["lungs"], progress=False)
    by_name = uh.segment(pixels, "lungs", progress=False)
    np.testing.assert_array_equal(by_card.probabilities, by_name.probabilities)


@pytest.mark.parametrize("card", SHIPPED)
def test_the_pixels_given_are_not_changed(card):
    rng = np.random.default_rng(4)
    image = uh.MedicalImage(rng.integers(1, 255, (2, 40, 48, 3)).astype(np.float32), "ZYXC")
    image.pixels[0, 3:9, 3:9] = np.nan
    before = image.pixels.copy()
    image.pixels.flags.writeable = False
    # A mirrored copy would swap the sides that a card tells apart.
    flips = 1 if name_sides(uh.MODELS[card].classes) else 2
    result = uh.segment(image, card, flips=flips, progress=False)
    np.testing.assert_array_equal(image.pixels, before)
    assert not np.shares_memory(result.probabilities, image.pixels)


def fixed_answer(probability: float):
    """A prediction that is this probability everywhere."""

    def predict(model, prepared, out, *_, **__):
        out += np.float32(probability)

    return predict


@pytest.mark.parametrize(
    ("probability", "is_foreground"), [(0.25, True), (0.2499999, False), (0.2500001, True)]
)
def test_a_probability_at_the_threshold_is_foreground(probability, is_foreground, monkeypatch):
    monkeypatch.setattr(stack_prediction, "predict", fixed_answer(probability))
    pixels = np.random.default_rng(5).integers(0, 255, (24, 31)).astype(np.uint8)
    result = uh.segment(pixels, make_network(), threshold=0.25, progress=False)
    assert (result.labels == is_foreground).all()


def test_notes_and_warnings_are_told_before_the_network_runs(monkeypatch):
    told = []

    def predict(model, prepared, out, *_, **__):
        assert told

    monkeypatch.setattr(stack_prediction, "predict", predict)
    image = uh.MedicalImage(np.zeros((40, 48), np.uint8), "YX", notes=("a note",))
    result = uh.segment(image, make_network(), progress=False, tell=told.append)
    assert told[0] == "array: a note"
    assert told[1:] == [f"array: {text}" for text in result.warnings]


def test_a_volume_is_seen_at_the_spacing_of_the_card():
    """Along three axes, and each voxel of the answer lies where it was."""
    network = make_network(spacing=1.0, axes=(0, 1, 2))
    pixels = np.random.default_rng(6).integers(0, 255, (12, 24, 20)).astype(np.uint8)
    coarse = uh.MedicalImage(pixels, "ZYX", (2.0, 2.0, 2.0))
    result = uh.segment(coarse, network, flips=2, progress=False)
    assert result.zoom == pytest.approx(2)
    assert result.probabilities.shape == (1, 12, 24, 20)
    assert result.spread.shape == (12, 24, 20)
    assert result.image.notes[-1] == "the network saw it at 1 mm a step, as it learnt it"

    as_it_is = uh.segment(replace(coarse, spacing=(1.0, 1.0, 1.0)), network, progress=False)
    assert as_it_is.zoom == 1
    assert as_it_is.image.notes == ()


def test_a_small_spacing_is_said_in_nanometres():
    network = make_network(spacing=8e-6)
    pixels = np.random.default_rng(7).integers(0, 255, (24, 32)).astype(np.uint8)
    image = uh.MedicalImage(pixels, "YX", (4e-6, 4e-6))
    result = uh.segment(image, network, progress=False)
    assert result.zoom == 0.5
    words = "zoom 0.5: its pixel size is 4 nm, and the network learnt at 8 nm a step"
    assert result.image.notes == (words,)
    assert uh.segment(image, network, zoom=0.5, progress=False).image.notes == ()


def test_answers_along_several_axes_are_averaged():
    pixels = np.random.default_rng(8).integers(0, 255, (16, 16, 16)).astype(np.uint8)
    answers = {}
    for axes in ((0,), (1,), (0, 1)):
        result = uh.segment(pixels, make_network(axes=axes), progress=False)
        answers[axes] = result.probabilities
    mean = (answers[0,] + answers[1,]) / 2
    np.testing.assert_allclose(answers[0, 1], mean, atol=1e-6)
    assert np.abs(answers[0,] - answers[1,]).max() > 1e-4


def test_the_middle_slice_tells_the_scale_of_a_stack():
    """Its field of view is 40 px wide, those of the others 80."""
    y, x = np.mgrid[:100, :100] - 50
    radius = np.array([40, 40, 20, 40, 40])[:, None, None]
    stack = np.where(x**2 + y**2 < radius**2, 200, 0).astype(np.uint8)
    network = make_network(scale="field of view", size=60)
    result = uh.segment(stack, network, progress=False)
    assert result.zoom == pytest.approx(60 / 40, rel=0.1)
