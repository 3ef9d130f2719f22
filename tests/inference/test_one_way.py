"""One way through: a single image is a stack of one slice, and what is said of the one holds for the other."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.drawn import draw_nuclei
from helpers.networks import make_network
from skimage.transform import rescale

import unet_helpers as uh
from unet_helpers.images.stack import as_displayed, frames, from_stack, to_stack
from unet_helpers.inference.segment import load_named


@pytest.fixture(scope="module")
def large_nuclei() -> np.ndarray:
    """Drawn nuclei at twice the size that the network works at."""
    return (rescale(draw_nuclei(24, 256)[0] / 255.0, 2.0, order=1) * 255).astype(np.uint8)


def test_a_stack_keeps_its_zoom_and_counts_what_each_slice_counts_alone(large_nuclei):
    alone = uh.segment(large_nuclei, "nuclei", flips=1, progress=False)
    stack = uh.segment(np.stack([large_nuclei] * 2), "nuclei", flips=1, progress=False)
    assert alone.zoom < 0.8
    assert stack.zoom == pytest.approx(alone.zoom)
    assert (
        stack.objects.max() == alone.objects.max() > 10
    )  # equal slices: each object goes through both
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
    axial = (
        np.random.default_rng(0).integers(0, 255, (6, 7, 8)).astype(np.int16)
    )  # (Z up, Y back, X left)
    to_patient = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}[order]
    pixels = (
        axial.transpose(to_patient)[:, ::-1] if order != "axial" else axial
    )  # rows run from head to feet
    steps = {"axial": "XYZ", "coronal": "XZY", "sagittal": "YZX"}[order]
    columns = {
        "X": (-1, 0, 0),
        "Y": (0, -1, 0),
        "Z": (0, 0, 1),
    }  # of the affine: right, front, head
    affine = np.eye(4)
    for column, step in enumerate(steps):
        affine[:3, column] = columns[step]
    if order != "axial":
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
    axial, turned = (series_image(name)[0] for name in ("axial", order))
    answers = [
        as_displayed(image, uh.segment(image, network, progress=False).foreground)
        for image in (axial, turned)
    ]
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-6)
    assert answers[0].std() > 1e-3


def test_frames_of_a_movie_are_answered_one_by_one():
    network = make_network(context=1, in_channels=3, channels="grey")
    rng = np.random.default_rng(1)
    movie = uh.MedicalImage(rng.integers(0, 255, (3, 20, 30)).astype(np.uint8), "TYX")
    result = uh.segment(movie, network, progress=False)
    assert result.probabilities.shape == (1, 3, 20, 30)
    assert len(list(frames(movie))) == 3
    for i, pixels in enumerate(movie.pixels):  # no frame is a neighbour of another
        alone = uh.segment(pixels, network, progress=False)
        np.testing.assert_allclose(result.probabilities[:, i], alone.probabilities, atol=1e-6)
    volumes = uh.MedicalImage(rng.integers(0, 255, (2, 4, 20, 30)).astype(np.uint8), "TZYX")
    assert uh.segment(volumes, network, progress=False).objects.shape == (2, 4, 20, 30)


def test_averaging_keeps_its_spread_so_that_no_second_run_is_needed():
    network, image = (
        make_network(),
        np.random.default_rng(2).integers(0, 255, (24, 31)).astype(np.uint8),
    )
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
    """Whether a network reads FLAIR was found in its description of the kind of image."""
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
        {"threshold": "0.3"},
        {"threshold": float("nan")},
        {"flips": 3},
        {"zoom": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused_in_words(options):
    with pytest.raises(uh.ArgumentError, match=next(iter(options))) as caught:
        uh.segment(np.zeros((8, 8), np.uint8), make_network(), **options)
    assert isinstance(caught.value, uh.UNetHelpersError)
    assert isinstance(caught.value, ValueError)


def test_no_network_is_taken_silently():
    with pytest.raises(uh.ModelError, match="nuclei.*retinal_vessels"):
        uh.segment(np.zeros((8, 8), np.uint8))


def test_a_movie_has_one_scale():
    """A frame with nothing in it would else be split with thresholds of another scale than the others."""
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
    uh.segment(
        np.eye(20, dtype=np.uint8), uh.load_model("nuclei"), progress=False, zoom=1
    )  # a caller's own
    assert load_named.cache_info()[:2] == (2, 1)
