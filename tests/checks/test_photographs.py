"""Photographs of other things are told from dyed nuclei by their colours."""

import numpy as np
import pytest
from helpers.drawn import draw_nuclei
from helpers.places import DATA
from skimage import data
from sklearn.datasets import load_sample_image

import unet_helpers as uh
from unet_helpers.checks.checks import run_checks
from unet_helpers.checks.photographs import check_photograph, is_photograph
from unet_helpers.checks.view import View
from unet_helpers.doubt import Doubt
from unet_helpers.images.arrays import from_array

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")

# Cards of nuclei, which read colours.
CARDS_OF_DYES = ("nuclei", "nuclei_he")

PHOTOGRAPHS = {
    "astronaut": data.astronaut,
    "coffee": data.coffee,
    "chelsea": data.chelsea,
    "rocket": data.rocket,
    "china": lambda: load_sample_image("china.jpg"),
}


def warnings_of(pixels: np.ndarray, model: str = "nuclei") -> list[str]:
    return check_photograph(View(from_array(pixels)), uh.MODELS[model])


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("model", CARDS_OF_DYES)
def test_photographs_are_doubted(name, model):
    photograph = PHOTOGRAPHS[name]()
    (warning,) = warnings_of(photograph, model)
    assert isinstance(warning, Doubt)
    assert warning in run_checks(View(from_array(photograph)), uh.MODELS[model])
    assert uh.suggest_model(photograph) == []


def test_a_photograph_gets_no_expected_dice():
    result = uh.segment(data.astronaut(), "nuclei", progress=False)
    assert result.expected_dice is None
    assert "photograph" in " ".join(result.warnings)


@pytest.mark.parametrize("name", ["he", "ihc"])
@pytest.mark.parametrize("colours", [(0, 1, 2), (2, 1, 0)])
def test_tissue_is_no_photograph(name, colours):
    pixels = uh.read_image(uh.sample(name)).pixels[..., colours]
    assert not warnings_of(pixels)
    assert not warnings_of(pixels * np.array([0.8, 1, 0.9]) / 255)
    height, width = (side // 2 for side in pixels.shape[:2])
    for quarter in (pixels[:height, :width], pixels[height:, width:]):
        assert not warnings_of(np.ascontiguousarray(quarter))


@pytest.mark.parametrize("ground", [0, 28])
def test_coloured_fluorescence_is_no_photograph(ground):
    nuclei = uh.read_image(uh.sample("fluorescence")).pixels.astype(float)
    nuclei = nuclei / nuclei.max()
    # A dye that fills the cells, and a weaker one everywhere.
    cells = np.sqrt(nuclei)
    merged = np.stack([0.3 * cells[::-1], cells[:, ::-1], nuclei], axis=-1)
    pixels = np.clip(227 * merged + ground, 0, 255).astype(np.uint8)
    assert not warnings_of(pixels)


def test_fluorescence_over_phase_contrast_is_no_photograph():
    rng = np.random.default_rng(0)
    nuclei, _ = draw_nuclei(40, 256)
    phase = 80 + 20 * rng.standard_normal((256, 256, 1))
    pixels = np.repeat(phase, 3, axis=-1)
    pixels[..., 2] += 0.6 * nuclei
    assert not warnings_of(np.clip(pixels, 0, 255).astype(np.uint8))


def test_pictures_with_hardly_any_colour_are_not_judged():
    astronaut = data.astronaut().reshape(-1, 3) / 255
    grey = astronaut.mean(axis=1, keepdims=True)
    assert is_photograph(astronaut)
    assert not is_photograph(grey + 0.1 * (astronaut - grey))
    assert not is_photograph(np.repeat(grey, 3, axis=1))


def test_networks_of_other_images_do_not_ask():
    for name in set(uh.MODELS) - set(CARDS_OF_DYES):
        assert not warnings_of(data.astronaut(), name)


@needs_data
def test_few_images_of_nuclei_count_as_photographs():
    paths = sorted((DATA / "nuclei/images/stained").glob("*"))[::6]
    paths += sorted((DATA / "nuclei_he/images").glob("*"))[::20]
    assert len(paths) > 30
    assert not [path for path in paths if warnings_of(uh.read_image(path).pixels)]
