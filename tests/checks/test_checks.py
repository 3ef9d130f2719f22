"""The table of checks: each warns of what does not suit a network, and of nothing else."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.drawn import draw_nuclei
from helpers.networks import make_network
from helpers.places import DATA, ROOT

import unet_helpers as uh
from unet_helpers.checks import checks
from unet_helpers.checks.checks import (
    CHECKS,
    check_channels,
    check_distribution,
    check_gaps,
    check_named,
    check_published,
    check_scale,
    check_vessels,
    distribution_warning,
    has_colours,
    run_checks,
)
from unet_helpers.checks.likeness import Group, Likeness, known_groups
from unet_helpers.checks.thickness import check_thickness
from unet_helpers.checks.view import View
from unet_helpers.images.arrays import from_array
from unet_helpers.images.image import MedicalImage
from unet_helpers.training.tasks import read_cases

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")

LUNGS = uh.MODELS["lungs"]
NUCLEI = uh.MODELS["nuclei"]
STAINED = uh.MODELS["nuclei_he"]
VESSELS = uh.MODELS["retinal_vessels"]
HIPPOCAMPUS = uh.MODELS["hippocampus"]
FLAIR = uh.MODELS["brain_flair"]
PUBLISHED = uh.MODELS["brain_flair_buda2019"]


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    return uh.read_image(ROOT / "sample_images/ihc.png").pixels


@pytest.fixture(scope="module")
def retina() -> np.ndarray:
    return uh.read_image(ROOT / "sample_images/retina.jpg").pixels


def view_of(pixels: np.ndarray, **fields) -> View:
    return View(replace(from_array(pixels), **fields))


def view_with(pixels: np.ndarray, **distances: float) -> View:
    """A view of pixels at 5 limits of every group, and at 100 of photographs, but for these."""
    everywhere = {}
    for name, group in known_groups().items():
        everywhere[name] = 5.0 if isinstance(group, Group) else 100.0
    view = view_of(pixels)
    view.__dict__["likeness"] = Likeness(everywhere | distances)
    return view


def gradient(*shape: int) -> np.ndarray:
    """Greys that are neither empty nor a mask."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


# The table.


def test_all_checks_run_in_the_order_of_the_table(monkeypatch):
    def first(view, card):
        return [f"first {card.name}"]

    def second(view, card):
        return ["second", "third"]

    monkeypatch.setattr(checks, "CHECKS", (first, second))
    assert run_checks(view_of(gradient(20, 20)), LUNGS) == ["first lungs", "second", "third"]


def test_what_the_pixels_show_is_said_first():
    warnings = run_checks(view_of(np.zeros((40, 40), np.uint8), modality="CT"), LUNGS)
    assert warnings[0].startswith("all values are the same")
    assert warnings[1].startswith("nothing but background")
    assert "modality is CT" in warnings[2]


def test_every_check_of_the_module_is_in_the_table():
    defined = {
        value
        for name, value in vars(checks).items()
        if name.startswith("check_") and value.__module__ == checks.__name__
    }
    assert defined <= set(CHECKS)


def test_segment_passes_warnings_on(retina):
    small = retina[::4, ::4]
    warnings = check_distribution(view_of(small), LUNGS)
    assert len(warnings) == 1
    assert warnings[0] in run_checks(view_of(small), LUNGS)
    assert not check_distribution(view_of(small), VESSELS)
    assert warnings[0] in uh.segment(small, "lungs", progress=False).warnings


# What the file says.


@pytest.mark.parametrize(
    ("name", "description", "card", "is_warned"),
    [
        ("patient_t1ce.nii", "", "brain_flair", True),
        ("a.dcm", "AX T2 TSE", "brain_flair", True),
        ("sub-01_FLAIR.nii.gz", "", "brain_flair", False),
        ("a.dcm", "t2_tirm_FLAIR_dark", "brain_flair", False),
        ("a.dcm", "t2_tirm_tra_dark-fluid", "brain_flair", False),
        ("a.dcm", "t2_space_darkfluid_sag", "brain_flair", False),
        ("a.dcm", "ep2d_diff_b1000_tra", "brain_flair", True),
        ("AxT2.nii", "", "brain_flair", True),
        ("a.dcm", "3DT1 post", "brain_flair", True),
        ("a.dcm", "T1POST", "brain_flair", True),
        ("a.dcm", "TOF_3D_multi-slab", "brain_flair", True),
        ("a.dcm", "ep2d_perf", "brain_flair", True),
        ("a.dcm", "Proton Density axial", "hippocampus", True),
        ("a.dcm", "T2* GRE", "hippocampus", True),
        ("a.dcm", "t1_mprage_sag_p2_iso", "hippocampus", False),
        ("scan.nii", "", "brain_flair", False),
        ("t10_patient.nii", "", "brain_flair", False),
        ("sub-01_T1w.nii.gz", "", "hippocampus", False),
        ("sub-01_T2w.nii.gz", "", "hippocampus", True),
    ],
)
def test_the_sequence_is_read_from_names(name, description, card, is_warned):
    view = view_of(np.zeros((9, 40, 40)), path=Path(name), description=description)
    assert bool(check_named(view, uh.MODELS[card])) == is_warned


def test_all_sequences_named_are_said():
    view = view_of(np.zeros((9, 40, 40)), path=Path("t1_dwi.nii"))
    assert check_named(view, FLAIR) == [
        f"called T1 AND DIFFUSION, but brain_flair reads {FLAIR.modality}: the answer means little."
    ]


def test_dicoms_modality_is_read():
    view = view_of(np.zeros((40, 40)), modality="CT")
    assert "modality is CT" in check_named(view, LUNGS)[0]
    assert not check_named(view, NUCLEI)
    assert not check_named(view_of(np.zeros((40, 40)), modality="DX"), LUNGS)


# Channels.


def test_stained_tissue_is_colour_on_a_light_ground(tissue):
    blue_on_black = np.stack([draw_nuclei(20, 256)[0] // n for n in (4, 2, 1)], -1)
    for pixels, is_warned in ((tissue, False), (tissue[..., 0], True), (blue_on_black, True)):
        warnings = run_checks(view_of(pixels), STAINED)
        assert any("light ground" in text for text in warnings) == is_warned


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_tissue_of_a_camera_of_fewer_bits_than_it_is_stored_in_is_light(bits, tissue):
    """It was warned of as no colours on a light ground: white was that of 16 bits."""
    pixels = tissue.astype(np.uint16) << (bits - 8)
    view = view_of(pixels)
    assert check_channels(view, STAINED) == []


def test_a_grey_image_for_a_network_of_photographs_is_said():
    assert "green channel" in check_channels(view_of(gradient(40, 40)), VESSELS)[0]
    assert check_channels(view_of(np.dstack([gradient(40, 40)] * 3)), VESSELS) == []


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("change", [-1, 1])
def test_one_channel_that_differs_makes_a_colour(channel, change):
    pixels = np.dstack([gradient(40, 40).astype(np.int16)] * 3)
    assert not has_colours(from_array(pixels))
    pixels[..., channel] += change
    assert has_colours(from_array(pixels))
    assert not has_colours(from_array(pixels[..., 0]))


def test_colours_for_a_network_of_greys_are_said():
    colour = np.zeros((40, 40, 3), np.uint8)
    colour[..., 0] = 7
    assert "its brightness is used" in check_channels(view_of(colour), LUNGS)[0]
    assert "the second of its three channels" in check_channels(view_of(colour), FLAIR)[0]


def test_greys_that_are_stored_as_colours_are_not_said():
    grey = np.dstack([gradient(40, 40)] * 3)
    assert check_channels(view_of(grey), LUNGS) == []
    assert check_channels(view_of(gradient(40, 40)), LUNGS) == []


# Vessels.


def shrunk_eye() -> np.ndarray:
    pixels = uh.read_image(ROOT / "sample_images/retina.jpg").pixels
    return cv2.resize(pixels, (500, 500), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def angiogram() -> np.ndarray:
    """The sample with bright vessels on a dark ground."""
    green = shrunk_eye()[..., 1].astype(np.float32)
    background = cv2.GaussianBlur(green, (0, 0), 8)
    bright_vessels = np.clip(90 - 3 * (green - background), 0, 255)
    return np.where(green > 20, bright_vessels, 5).astype(np.uint8)


def test_bright_vessels_are_said_in_grey_and_in_colour(angiogram):
    for pixels in (angiogram, np.repeat(angiogram[..., None], 3, -1)):
        (warning,) = check_vessels(view_of(pixels), VESSELS)
        assert "lines are bright" in warning
        assert "pixels.max() - pixels" in warning


def test_dark_vessels_are_not_said(angiogram):
    for pixels in (shrunk_eye(), shrunk_eye()[150:350, 150:350], 255 - angiogram):
        assert check_vessels(view_of(pixels), VESSELS) == []


def test_lines_count_only_for_a_network_of_vessels(angiogram):
    assert check_vessels(view_of(angiogram), LUNGS) == []


def test_an_empty_image_has_no_vessels():
    assert check_vessels(view_of(np.zeros((64, 64))), VESSELS) == []


@pytest.mark.slow
@needs_data
def test_dark_vessels_of_the_data_are_not_taken_for_bright_ones():
    cases = read_cases("retinal_vessels", DATA / "retinal_vessels")
    unseen = [case for case in cases if case.part != "train"]
    assert not any(check_vessels(View(case.image), VESSELS) for case in unseen)


# Slices.


def volume_with(filled: list[int], depth: int = 8) -> View:
    """A volume in space, of which these slices show something."""
    pixels = np.zeros((40, 40, depth), np.float32)
    pixels[..., filled] = gradient(40, 40)[..., None]
    return View(MedicalImage(pixels, "XYZ", (1.0, 1.0, 1.0), np.eye(4)))


def test_empty_slices_between_others_are_counted():
    assert check_gaps(volume_with([1, 2, 5]), LUNGS) == [
        "2 empty slices between others: objects are cut there, and volumes too small."
    ]


def test_empty_slices_at_the_ends_are_the_rule():
    assert check_gaps(volume_with([2, 3, 4]), LUNGS) == []
    assert check_gaps(volume_with([]), LUNGS) == []


def test_a_stack_that_does_not_lie_in_space_has_no_gaps():
    pixels = np.zeros((4, 40, 40), np.float32)
    pixels[[0, 3]] = gradient(40, 40)
    assert check_gaps(view_of(pixels), LUNGS) == []


# Scale.


def test_an_image_far_smaller_than_the_working_scale_is_said():
    side = LUNGS.preprocessing.size // 4
    assert check_scale(view_of(gradient(side, side)), LUNGS) == []
    assert f"only {side - 1} px wide" in check_scale(view_of(gradient(20, side - 1)), LUNGS)[0]
    assert check_scale(view_of(gradient(20, side)), LUNGS) == []


def test_a_volume_far_larger_than_a_crop_is_said():
    # Without a spacing nothing is localised, and voxels count as the card's.
    assert check_scale(view_of(gradient(20, 20, 128)), HIPPOCAMPUS) == []
    assert "129 voxels wide" in check_scale(view_of(gradient(20, 20, 129)), HIPPOCAMPUS)[0]


def test_a_network_of_ones_own_volumes_knows_large_ones():
    own = make_network(dims=3, spacing=1.0).card
    volume = view_of(gradient(20, 20, 300), spacing=(1.0, 1.0, 5.0))
    assert check_scale(volume, own) == []
    assert check_thickness(volume, own) == []


def test_the_spacing_counts_where_the_card_has_one():
    step = HIPPOCAMPUS.preprocessing.spacing
    long = view_of(gradient(20, 20, 70), spacing=(step, step, 2 * step))
    assert "140 voxels wide" in check_scale(long, HIPPOCAMPUS)[0]
    short = view_of(gradient(20, 20, 140), spacing=(step, step, step / 2))
    assert check_scale(short, HIPPOCAMPUS) == []


def test_a_whole_head_is_checked_box_by_box_later():
    head = view_of(gradient(110, 110, 110), spacing=(1.0, 1.0, 1.5))
    assert HIPPOCAMPUS.localise.wanted(head.stack)
    assert check_scale(head, HIPPOCAMPUS) == []
    assert check_distribution(head, HIPPOCAMPUS) == []


# Kinds of images.


def test_an_image_of_another_kind_is_said_with_the_network_that_fits():
    view = view_with(gradient(40, 40), em_membranes=0.5)
    warning = distribution_warning(view, LUNGS)
    assert warning.startswith(
        "looks unlike the images that the network learnt from "
        f"({LUNGS.modality}), so the answer may be meaningless "
        "(out-of-distribution score 10.0; up to 1 is usual)."
    )
    assert warning.endswith(" It looks more like those of the model 'em_membranes'.")


def test_an_image_given_by_mistake_is_named_with_the_remedy():
    view = view_with(gradient(40, 40), **{"lungs inverted": 0.5})
    assert distribution_warning(view, LUNGS).endswith(
        " It looks like an inverted chest X-ray: give pixels.max() - pixels."
    )


def test_an_image_that_is_far_from_all_is_like_none():
    view = view_with(gradient(40, 40), lungs=2.5)
    warning = distribution_warning(view, LUNGS)
    assert "(out-of-distribution score 1.1; up to 1 is usual)." in warning
    assert "It looks" not in warning


def test_an_image_at_the_limit_is_usual():
    assert distribution_warning(view_with(gradient(40, 40), lungs=2.4), LUNGS) is None


def test_of_several_dyes_one_is_recommended():
    colours = np.dstack([gradient(40, 40)] * 3)
    assert "channel='blue'" in distribution_warning(view_with(colours), STAINED)
    assert "channel='blue'" not in distribution_warning(view_with(colours), LUNGS)
    assert "channel='blue'" not in distribution_warning(view_with(gradient(40, 40)), STAINED)


def test_a_file_that_names_the_right_sequence_is_believed():
    view = view_with(gradient(9, 40, 40))
    assert check_distribution(view, FLAIR)
    named = View(replace(view.image, path=Path("flair.nii")))
    assert check_distribution(named, FLAIR) == []


# The published method.


def test_the_published_method_is_checked_for_its_card_alone():
    view = view_of(np.dstack([gradient(40, 40)] * 3))
    assert "a single slice" in check_published(view, PUBLISHED)[0]
    assert check_published(view, LUNGS) == []
