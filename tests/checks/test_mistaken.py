"""Images in another form than the network learnt are noticed, and the way out is named."""

import warnings

import numpy as np
import pytest
from helpers.drawn import draw_nuclei
from helpers.places import DATA
from matplotlib import colormaps

import unet_helpers as uh
from unet_helpers.checks.checks import run_checks
from unet_helpers.checks.false_colours import colour_map_of, colours_of_maps
from unet_helpers.checks.mistaken import check_mistakes
from unet_helpers.checks.view import View
from unet_helpers.doubt import Doubt
from unet_helpers.images.arrays import from_array

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")


def mistakes(pixels: np.ndarray, model: str) -> list[str]:
    return check_mistakes(View(from_array(pixels)), uh.MODELS[model])


@pytest.fixture(scope="module")
def nuclei() -> np.ndarray:
    return uh.read_image(uh.sample("fluorescence")).pixels


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    return uh.read_image(uh.sample("he")).pixels


@pytest.fixture(scope="module")
def retina() -> np.ndarray:
    return uh.read_image(uh.sample("retina")).pixels


def test_inverted_fluorescence_is_noticed(nuclei):
    inverted = nuclei.max() - nuclei
    (warning,) = mistakes(inverted, "nuclei")
    assert isinstance(warning, Doubt)
    assert "looks inverted" in warning
    assert warning in run_checks(View(from_array(inverted)), uh.MODELS["nuclei"])
    assert mistakes(np.dstack([inverted] * 3), "nuclei") == [warning]
    assert not mistakes(nuclei, "nuclei")
    drawn, _ = draw_nuclei(60, 512)
    assert mistakes(255 - drawn, "nuclei") == [warning]
    assert not mistakes(drawn, "nuclei")


@needs_data
def test_bright_field_with_halos_is_not_inverted():
    for path in (DATA / "nuclei/images/brightfield").glob("8d05fb18ee0c*"):
        assert not mistakes(uh.read_image(path).pixels, "nuclei")


def membranes(seed: int = 0) -> np.ndarray:
    """Cells with thin dark outlines on a noisy ground."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 256, (60, 2))
    y, x = np.mgrid[:256, :256]
    distances = np.sort(np.hypot(y - centres[:, :1, None], x - centres[:, 1:, None]), axis=0)
    is_membrane = distances[1] - distances[0] < 4
    return np.clip(170 - 110 * is_membrane + rng.normal(0, 12, y.shape), 0, 255).astype(np.uint8)


def test_bright_membranes_are_noticed():
    cells = membranes()
    (warning,) = mistakes(255 - cells, "em_membranes")
    assert "looks inverted" in warning
    assert not mistakes(cells, "em_membranes")
    assert not mistakes(255 - cells, "lungs")


@needs_data
def test_real_membranes_are_dark():
    for name in ("04", "24", "vnc_09"):  # of 24, myelin fills the window of highest contrast
        path = DATA / f"em_membranes/images/{name}.png"
        pixels = uh.read_image(path).pixels
        assert not mistakes(pixels, "em_membranes")
        assert mistakes(255 - pixels, "em_membranes")


@needs_data
def test_a_small_inverted_micrograph_is_not_called_background():
    card = uh.MODELS["em_membranes"]
    path = DATA / "em_membranes/images/24.png"
    crop = uh.read_image(path).pixels[:300, :300]
    (warning,) = run_checks(View(from_array(255 - crop)), card)
    assert "looks inverted" in warning
    photons = np.random.default_rng(0).poisson(5, (300, 300)).astype(np.uint8)
    assert "nothing but background" in " ".join(run_checks(View(from_array(photons)), card))


@pytest.mark.parametrize("model", ["nuclei", "nuclei_he"])
def test_exchanged_colours_of_tissue_are_noticed(tissue, model):
    (warning,) = mistakes(tissue[..., ::-1].copy(), model)
    assert isinstance(warning, Doubt)
    assert "pixels[..., ::-1]" in warning
    assert not mistakes(tissue, model)
    assert not mistakes(uh.read_image(uh.sample("ihc")).pixels, model)


def test_tissue_of_one_density_shows_no_nuclei_to_compare():
    pale = np.full((200, 200, 3), (240, 238, 242), np.uint8)
    pale[50:150, 50:150] = (150, 110, 170)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mistakes(pale, "nuclei_he") == []


def counted(images: list[np.ndarray]) -> tuple[int, int]:
    """How many are taken for exchanged: with red and blue exchanged, and as they are."""
    exchanged = [bool(mistakes(pixels[..., ::-1].copy(), "nuclei_he")) for pixels in images]
    as_they_are = [bool(mistakes(pixels, "nuclei_he")) for pixels in images]
    return sum(exchanged), sum(as_they_are)


@needs_data
def test_exchanged_colours_of_fields_and_tiles_of_tissue_are_noticed():
    folder = DATA / "nuclei_he/images"
    patterns = [f"consep_train_{field}_*[048].jpg" for field in (7, 10, 20)]
    patterns.append("monuseg_TCGA-[2AG]*-[A5]*")
    paths = [path for pattern in patterns for path in folder.glob(pattern)]
    images = [uh.read_image(path).pixels for path in paths]
    assert len(images) > 15
    noticed, wrongly = counted(images)
    assert noticed >= 0.9 * len(images)
    assert wrongly == 0


def field_of_consep(number: int) -> np.ndarray:
    """Put a field (1024, 1024, 3) together of its 16 tiles."""
    paths = sorted((DATA / "nuclei_he/images").glob(f"consep_train_{number}_*"))
    tiles = [uh.read_image(path).pixels for path in paths]
    return np.vstack([np.hstack(tiles[start : start + 4]) for start in range(0, 16, 4)])


@needs_data
def test_exchanged_colours_of_pale_tissue_and_beside_blood_are_noticed():
    """The mean colours of dark and of light tissue say the opposite there, or nothing."""
    stained = DATA / "nuclei/images/stained"
    names = ("4193474b2f1c72f7", "8f27ebc74164eddf", "33a5b0ff232b4257")
    images = [uh.read_image(next(stained.glob(f"{name}*"))).pixels[..., :3] for name in names]
    images += [field_of_consep(number) for number in (3, 4, 5, 27)]
    assert counted(images) == (7, 0)


def test_exchanged_colours_of_an_eye_are_noticed(retina):
    (warning,) = mistakes(retina[..., ::-1].copy(), "retinal_vessels")
    assert "the eye is blue" in warning
    assert not mistakes(retina, "retinal_vessels")


def coloured(grey: np.ndarray, name: str) -> np.ndarray:
    """A picture (H, W, 3) of greys, 0 to 1, through a colour map."""
    if name == "Fire":
        levels = np.rint(255 * grey).astype(int)
        return colours_of_maps()["Fire"][levels].astype(np.uint8)
    return (255 * colormaps[name](grey)[..., :3]).astype(np.uint8)


@pytest.mark.parametrize("name", ["jet", "plasma", "viridis", "turbo", "hot", "Fire", "CMRmap"])
def test_false_colours_are_noticed(nuclei, name):
    picture = coloured(nuclei / nuclei.max(), name)
    for pixels in (picture, picture / 255):
        (warning,) = mistakes(pixels, "nuclei")  # and not that red and blue are exchanged
        assert "false colours" in warning
    inverted = coloured(1 - nuclei / nuclei.max(), name)
    assert any("false colours" in warning for warning in mistakes(inverted, "nuclei"))
    assert not any("exchanged" in warning for warning in mistakes(inverted, "nuclei"))


def test_colours_of_dyes_and_photographs_are_not_false(nuclei, tissue, retina):
    blue = np.dstack([nuclei * 0, nuclei * 0, nuclei])
    red = np.dstack([nuclei, nuclei * 0, nuclei * 0])
    grey = np.dstack([nuclei] * 3)
    for pixels in (blue, red, grey, tissue, retina, uh.read_image(uh.sample("ihc")).pixels):
        assert colour_map_of(pixels) is None


@needs_data
def test_two_films_in_one_picture_are_noticed():
    paths = sorted((DATA / "lungs/images").glob("CHNCXR*"))[:2]
    films = [uh.read_image(path).pixels for path in paths]
    for together in (np.hstack(films), np.vstack(films)):
        (warning,) = mistakes(together, "lungs")
        assert "two films" in warning
    assert not mistakes(films[0], "lungs")


def test_an_empty_image_has_no_form():
    assert not mistakes(np.zeros((64, 64, 3), np.uint8), "nuclei")
