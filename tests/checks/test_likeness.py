"""Distances of an image from what networks learnt from, and what is said where they are large."""

import time
import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest
import skimage.data
from helpers.places import DATA, ROOT, SAMPLES

import unet_helpers as uh
from unet_helpers.checks.checks import check_distribution, distribution_warning, run_checks
from unet_helpers.checks.likeness import (
    CLEARLY_NEARER,
    Cluster,
    Group,
    Likeness,
    Photographs,
    known_groups,
    middle_slices,
)
from unet_helpers.checks.suggest import ood_score
from unet_helpers.checks.view import View
from unet_helpers.images.arrays import from_array
from unet_helpers.images.image import MedicalImage
from unet_helpers.training.tasks import TASKS, read_cases

HERE = ROOT / "sample_images"
SHIPPED = {
    "retinal_vessels": "retina.jpg",
    "nuclei": "ihc.png",
    "hippocampus": "hippocampus_mni.nii.gz",
}
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data, the training data")
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs ../shared/samples")

CARDS = tuple(TASKS)

# Cards that show no other kind of images than each other.
OF_ONE_KIND = {
    "nuclei": ["nuclei", "nuclei_he"],
    "nuclei_he": ["nuclei", "nuclei_he"],
    "lungs": ["lungs", "chest"],
    "chest": ["lungs", "chest"],
    "retinal_vessels": ["retinal_vessels", "artery_vein"],
    "artery_vein": ["retinal_vessels", "artery_vein"],
}

# Networks that are suggested before others for the same images.
FIRST_OF_ONE_KIND = {"chest": "lungs", "artery_vein": "retinal_vessels"}


@pytest.fixture(scope="module")
def retina() -> np.ndarray:
    return uh.read_image(HERE / "retina.jpg").pixels


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    return uh.read_image(HERE / "ihc.png").pixels


def warning_for(image, card: str) -> str | None:
    """What is said about an array or image that goes to a network."""
    if not isinstance(image, MedicalImage):
        image = from_array(image)
    return distribution_warning(View(image), uh.MODELS[card])


# Distances of synthetic statistics, with exact values.


def test_a_cluster_measures_whitened_differences_and_its_spread():
    cluster = Cluster(np.array([1.0, 2.0]), np.array([[2.0, 0.0], [1.0, 3.0]]), spread=0.25)
    difference = np.array([1.0, -1.0])
    whitened = np.array([2.0, 1.0 - 3.0])
    expected = (whitened**2).mean() + 0.25
    assert cluster.penalised_square(np.array([1.0, 2.0]) + difference) == pytest.approx(expected)


def test_statistics_that_are_not_known_count_as_the_mean():
    cluster = Cluster(np.zeros(2), np.eye(2), spread=0.0)
    assert cluster.penalised_square(np.array([np.nan, 3.0])) == pytest.approx(9 / 2)


def test_a_group_is_as_far_as_its_nearest_cluster():
    near = Cluster(np.array([0.0]), np.eye(1), spread=0.0)
    far = Cluster(np.array([10.0]), np.eye(1), spread=0.0)
    group = Group(view="lungs", description="", limit=1.0, room=2.0, clusters=(near, far))
    distances = group.distance(np.array([[1.0], [8.0], [10.0]]))
    np.testing.assert_allclose(distances, [1, 2, 0])


def test_photographs_are_near_where_their_probability_is_high():
    photographs = Photographs(
        view="lungs",
        description="a photograph of something else",
        limit=1.25,
        centre=np.array([1.0]),
        scale=np.array([2.0]),
        linear=np.array([0.5]),
        squared=np.array([-0.25]),
        bias=0.1,
    )
    z = np.array([-1.0, 0.0, 4.0, 4.0])
    features = np.array([[-1.0], [np.nan], [9.0], [1000.0]])
    probability = 1 / (1 + np.exp(-(0.5 * z - 0.25 * z**2 + 0.1)))
    np.testing.assert_allclose(photographs.distance(features), 1 / probability)


def likeness_of(**distances: float) -> Likeness:
    """An image at 5 limits of every group, and at 100 of photographs, but for those given."""
    everywhere = {}
    for name, group in known_groups().items():
        everywhere[name] = 5.0 if isinstance(group, Group) else 100.0
    return Likeness(everywhere | distances)


def test_the_score_is_the_distance_over_that_of_the_nearest_other_kind():
    likeness = likeness_of(lungs=1.2, em_membranes=1.5)
    assert likeness.score("lungs") == pytest.approx(1.2 / 2.4)  # 1.5 ** 3, up to the room of 2.4
    assert likeness_of(lungs=0.6, em_membranes=0.8).score("lungs") == pytest.approx(0.6 / 0.8)
    assert likeness_of(lungs=1.2, em_membranes=1.1).score("lungs") == pytest.approx(1.2 / 1.1**3)


def test_a_card_with_little_room_is_left_sooner():
    assert likeness_of(retinal_vessels=1.7).score("retinal_vessels") == pytest.approx(1)
    assert likeness_of(lungs=2.4).score("lungs") == pytest.approx(1)


def test_cards_of_the_same_classes_are_no_other_kind():
    assert likeness_of(nuclei=1.0, nuclei_he=0.1).score("nuclei") == pytest.approx(1 / 1.7)


def test_cards_of_the_same_images_are_no_other_kind():
    """The cards for chest X-rays find other structures in them."""
    near_chest = likeness_of(lungs=1.0, chest=0.1)
    assert near_chest.score("lungs", strict=True) == pytest.approx(1 / 2.4)
    # An image like those of a card of the same modality is usual.
    assert near_chest.score("lungs") == pytest.approx(0.1 / 2.4)
    near_lungs = likeness_of(lungs=0.1, chest=1.0)
    assert near_lungs.score("chest", strict=True) == pytest.approx(1 / 2.4)
    assert likeness_of(chest=1.0, nuclei=0.5).score("chest") == pytest.approx(2)


def test_a_card_without_photographs_takes_those_of_a_card_for_the_same_images():
    likeness = likeness_of(chest=0.1, **{"photographs, lungs": 0.8})
    assert "photographs, chest" not in known_groups()
    assert likeness.score("chest") == pytest.approx(0.9 / 0.8)


def test_mistakes_are_another_kind():
    likeness = likeness_of(lungs=1.0, **{"lungs inverted": 0.5})
    assert likeness.score("lungs") == pytest.approx(2)
    assert likeness.nearest_kind(uh.MODELS["lungs"]) == "lungs inverted"


def test_an_image_on_top_of_another_kind_has_a_finite_score():
    assert likeness_of(lungs=1.0, em_membranes=0.0).score("lungs") == pytest.approx(1e6)


def test_photographs_count_if_they_are_nearer_than_their_limit():
    likeness = likeness_of(lungs=0.1, **{"photographs, lungs": 0.8})
    assert likeness.score("lungs") == pytest.approx(0.9 / 0.8)
    assert likeness.score("lungs", strict=True) == pytest.approx(1 / 0.8)


def test_the_score_of_a_card_without_statistics_is_not_known():
    assert np.isnan(likeness_of().score("brain_flair_buda2019"))
    assert np.isnan(likeness_of().score("fine_tuned"))
    assert np.isnan(likeness_of().score("lungs inverted"))


def test_cards_that_fit_come_nearest_first():
    likeness = likeness_of(nuclei=0.9, nuclei_he=0.8)
    assert likeness.fitting_cards() == ["nuclei_he", "nuclei"]
    assert likeness_of(nuclei_he=1.8).fitting_cards() == ["nuclei_he"]
    assert likeness_of().fitting_cards() == []


def test_a_card_that_is_just_at_its_limit_fits():
    assert likeness_of(lungs=2.4).fits("lungs")
    assert not likeness_of(lungs=2.41).fits("lungs")


def test_a_better_card_is_clearly_nearer_and_of_the_same_classes():
    card = uh.MODELS["nuclei"]
    assert likeness_of(nuclei=1.0, nuclei_he=CLEARLY_NEARER - 0.01).better_card(card) == "nuclei_he"
    assert likeness_of(nuclei=1.0, nuclei_he=CLEARLY_NEARER).better_card(card) is None
    assert likeness_of(nuclei=1.0, lungs=0.01).better_card(card) is None


def test_a_card_that_fits_is_nearer_than_a_mistake():
    likeness = likeness_of(lungs=0.2, **{"vessels inverted": 0.1, "photographs, lungs": 0.01})
    assert likeness.nearest_kind(uh.MODELS["nuclei"]) == "vessels inverted"
    likeness = likeness_of(lungs=0.2, **{"photographs, nuclei": 0.1})
    assert likeness.nearest_kind(uh.MODELS["nuclei"]) == "lungs"


@pytest.mark.parametrize(
    ("depth", "indices"),
    [(1, [0]), (2, [0]), (3, [0, 1]), (10, [3, 4, 5, 6]), (100, [30, 39, 49, 59, 69])],
)
def test_slices_are_chosen_around_the_middle(depth, indices):
    stack = np.arange(depth)[:, None, None]
    assert [int(pixels[0, 0]) for pixels in middle_slices(stack)] == indices


def test_other_slices_may_be_chosen():
    stack = np.arange(100)[:, None, None]
    chosen = [int(pixels[0, 0]) for pixels in middle_slices(stack, first=0.1, last=0.9)]
    assert chosen == [10, 29, 49, 69, 89]


# The statistics that ship.


def test_every_network_trained_here_has_statistics():
    names = set(known_groups()) & set(uh.MODELS)
    own = {name for name, card in uh.MODELS.items() if not card.images_of}
    assert names == own - {"brain_flair_buda2019"}
    assert set(CARDS) == set(uh.MODELS) - {"brain_flair_buda2019"}
    for group in known_groups().values():
        assert group.limit > 0
        assert group.view in CARDS


def test_every_cluster_is_a_normal_distribution():
    for group in known_groups().values():
        if not isinstance(group, Group):
            continue
        assert min(cluster.spread for cluster in group.clusters) == pytest.approx(0, abs=1e-4)
        for cluster in group.clusters:
            assert np.isfinite(cluster.centre).all()
            assert (np.diag(cluster.whitening) > 0).all()
            assert (np.triu(cluster.whitening, 1) == 0).all()


@pytest.mark.parametrize("file", SHIPPED.values())
@pytest.mark.parametrize("card", CARDS)
def test_shipped_samples_are_familiar_to_their_own_card_only(file, card):
    image = uh.read_image(HERE / file)
    of_one_kind = [("nuclei_he", "ihc.png"), ("artery_vein", "retina.jpg")]
    is_own = SHIPPED.get(card) == file or (card, file) in of_one_kind
    assert (warning_for(image, card) is None) == is_own
    assert (ood_score(image, card) <= 1) == is_own


@needs_samples
@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*/*.*")), ids=lambda path: path.name)
def test_samples_to_download_are_familiar_to_their_own_card_only(path):
    image = uh.read_image(path)
    fitting = [card for card in CARDS if ood_score(image, card) <= 1]
    assert path.parent.name in fitting
    assert set(fitting) <= set(OF_ONE_KIND.get(path.parent.name, [path.parent.name]))


def test_the_warning_names_what_is_expected_and_a_better_network():
    warning = warning_for(uh.read_image(HERE / "retina.jpg"), "lungs")
    assert uh.MODELS["lungs"].modality in warning
    assert "'retinal_vessels'" in warning


def test_of_two_networks_for_the_same_structure_the_nearer_one_is_named():
    tissue = uh.read_image(uh.sample("he"))
    assert "'nuclei_he', which finds the same" in warning_for(tissue, "nuclei")
    assert warning_for(tissue, "nuclei_he") is None
    assert warning_for(uh.read_image(uh.sample("fluorescence")), "nuclei") is None


@pytest.mark.parametrize("shape", [(565, 584), (605, 700), (2822, 2822), (352, 352)])
def test_retinas_of_other_sizes_are_familiar(retina, shape):
    resized = cv2.resize(retina, shape[::-1], interpolation=cv2.INTER_AREA)
    assert warning_for(resized, "retinal_vessels") is None


def test_parts_of_a_retina_and_its_green_channel_are_familiar(retina):
    for part in (retina[300:1100, 300:1100], retina[150:, :1200], retina[..., 1]):
        assert warning_for(part, "retinal_vessels") is None


def test_tissue_of_other_sizes_colours_and_none_is_familiar(tissue):
    double = cv2.resize(tissue, (1024, 1024))
    half = cv2.resize(tissue, (256, 256), interpolation=cv2.INTER_AREA)
    dim = (tissue * [0.8, 0.7, 0.75]).astype(np.uint8)
    for other in (double, half, dim, tissue[100:350, 50:400], tissue[..., 1]):
        assert warning_for(other, "nuclei") is None


@pytest.mark.parametrize("card", CARDS)
def test_the_unit_of_the_intensities_does_not_matter(retina, tissue, card):
    for pixels in (retina, tissue, tissue[..., 0]):
        in_other_units = (
            pixels,
            pixels.astype(np.uint16) * 257,
            pixels / 255,
            (pixels / 255).astype(np.float32) * 1e-6,
        )
        values = [ood_score(from_array(unit), card) for unit in in_other_units]
        np.testing.assert_allclose(values, values[0], rtol=1e-2)


def test_cards_without_statistics_never_warn(retina):
    fine_tuned = replace(uh.MODELS["lungs"], name="fine_tuned")
    for card in (uh.MODELS["brain_flair_buda2019"], fine_tuned):
        assert np.isnan(ood_score(from_array(retina), card))
        assert check_distribution(View(from_array(retina)), card) == []


def odd_images() -> list[np.ndarray]:
    """Images of odd shapes, values and layouts in memory."""
    rng = np.random.default_rng(0)
    shapes = [
        (1, 1),
        (1, 1, 3),
        (2, 900),
        (900, 2, 3),
        (17, 16),
        (3, 40, 50),
        (1, 64, 64),
        (2, 40, 50, 3),
        (7, 1, 1),
    ]
    arrays = [rng.random(shape) * scale for shape in shapes for scale in (1, 1e-42, 1e300)]

    holes = rng.random((60, 70, 3))
    holes[:30] = np.nan
    holes[30:40] = np.inf
    arrays += [holes, -holes]

    arrays += [np.full((64, 64), value) for value in (0.0, 7.0, np.nan, np.inf, -np.inf)]
    arrays.append((rng.random((64, 64)) > 0.5).astype(np.uint8))
    arrays.append(rng.integers(-(2**62), 2**62, (64, 64)))
    arrays.append(rng.integers(0, 2**64, (64, 64), np.uint64))
    arrays.append(rng.random((300, 300))[::-2, ::3])
    return arrays


@pytest.mark.parametrize("card", uh.MODELS.values(), ids=uh.MODELS)
def test_no_image_is_too_odd(card):
    for pixels in odd_images():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert isinstance(ood_score(from_array(pixels), card), float)
        assert all(isinstance(text, str) for text in run_checks(View(from_array(pixels)), card))


@pytest.mark.parametrize(
    "pixels", [np.zeros((64, 64)), np.eye(8), np.eye(64, dtype=np.uint8), np.full((40, 40), np.nan)]
)
def test_empty_tiny_images_and_masks_get_no_second_warning(pixels):
    view = View(from_array(pixels))
    assert run_checks(view, uh.MODELS["lungs"])
    assert check_distribution(view, uh.MODELS["lungs"]) == []


def test_it_takes_milliseconds(retina):
    pixels = np.ascontiguousarray(retina[:1000, :1000])
    seconds = []
    for _ in range(5):
        started = time.process_time()
        warning_for(pixels, "nuclei")
        seconds.append(time.process_time() - started)

    # 0.06 to 0.1 on a busy core; the limit is what a person would feel.
    assert min(seconds) < 0.4


@pytest.mark.slow
@needs_data
def test_the_calibrated_figures_hold_on_the_test_part():
    """Under 3 % of a card's unseen images are flagged, over 90 % of the others' (12 of each)."""
    own = []
    others = []
    first = []
    for card in CARDS:
        cases = [case for case in read_cases(card, DATA / card) if case.part == "test"]
        for case in cases[:: max(1, len(cases) // 12)]:
            fitting = uh.suggest_model(case.image)
            own.append(card not in fitting)
            other_kinds = set(CARDS) - set(OF_ONE_KIND.get(card, [card]))
            others.extend(name not in fitting for name in other_kinds)

            # Both networks of nuclei know stained tissue.
            first_of_all = FIRST_OF_ONE_KIND.get(card, card)
            first.append(fitting[:1] == [first_of_all] or case.kind == "stained")
    assert np.mean(own) < 0.03 + 1.5 / len(own)
    assert np.mean(others) > 0.9
    assert np.mean(first) > 0.9


def altered(pixels: np.ndarray):
    """X-rays as they are given by mistake, with the words by which each is named."""
    yield "inverted", pixels.max() - pixels
    yield "rot90(pixels, 3)", np.rot90(pixels)
    yield "rot90(pixels)", np.rot90(pixels, 3)
    yield "upside down", np.rot90(pixels, 2)


@needs_data
def test_inverted_and_turned_x_rays_are_seen_and_named():
    cases = [case for case in read_cases("lungs", DATA / "lungs") if case.part == "test"][::6]
    assert not any(warning_for(case.image, "lungs") for case in cases)
    named = []
    for case in cases:
        for words, pixels in altered(case.image.pixels):
            warning = warning_for(np.ascontiguousarray(pixels), "lungs")
            named.append(words in (warning or ""))
    assert np.mean(named) > 0.9, np.mean(named)


@pytest.mark.parametrize("name", ["astronaut", "camera"])
def test_no_network_is_suggested_for_photographs_of_other_things(name):
    """Two of the test part of fit_ood.py."""
    photograph = from_array(getattr(skimage.data, name)())
    assert uh.suggest_model(photograph) == []
    assert "a photograph of something else" in warning_for(photograph, "lungs")


def test_a_card_that_reads_the_images_of_another_has_its_statistics_and_is_not_suggested():
    eye = View(uh.read_image(uh.sample("retina")))
    likeness = eye.likeness
    assert likeness.score("artery_vein") == likeness.score("retinal_vessels") < 1
    assert "artery_vein" not in likeness.fitting_cards()
    assert likeness.fitting_cards()[0] == "retinal_vessels"
    assert likeness.better_card(uh.MODELS["artery_vein"]) is None
    assert (
        uh.ood_score(uh.sample("retina"), "artery_vein")
        < 1
        < uh.ood_score(uh.sample("fluorescence"), "artery_vein")
    )
    assert uh.suggest_model(uh.sample("retina"))[0] == "retinal_vessels"
