"""What was found and cannot be: too few parts, parts that are blank, volumes out of bounds."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers.volumes import nifti

import unet_helpers as uh
from unet_helpers.doubt import Doubt
from unet_helpers.inference.segment import with_findings
from unet_helpers.networks.anatomy import ExpectedParts
from unet_helpers.networks.cards import card_of
from unet_helpers.results.anatomy import findings_on_parts

LUNGS = uh.MODELS["lungs"]
HIPPOCAMPUS = uh.MODELS["hippocampus"]
FLAIR = uh.MODELS["brain_flair"]

# Rows and columns of two lungs in a film of 100 x 100 px.
LEFT = (slice(20, 80), slice(10, 40))
RIGHT = (slice(20, 80), slice(60, 90))


def film(*lungs: tuple[slice, slice], blank: tuple[slice, slice] | None = None, step: int = 1):
    """A noisy film in which these lungs were found; one of them is filled with grey 215."""
    pixels = np.random.default_rng(5).integers(60, 120, (100, 100)).astype(np.uint8)
    if blank is not None:
        pixels[blank] = 215
    found = np.zeros((1, 100, 100), np.float32)
    for lung in lungs:
        found[0][lung] = 0.9
    image = uh.MedicalImage(np.kron(pixels, np.ones((step, step), np.uint8)), "YX")
    found = np.kron(found, np.ones((1, step, step), np.float32))
    return uh.Segmentation(image, LUNGS, found, threshold=0.5)


def texts(result: uh.Segmentation) -> list[str]:
    return [finding.text for finding in findings_on_parts(result)]


def test_two_lungs_are_as_expected():
    result = film(LEFT, RIGHT)
    assert texts(result) == []
    assert with_findings(result) is result
    assert set(result.measure()["implausible"]) == {"no"}


@pytest.mark.parametrize(
    "result",
    [
        film(LEFT),
        film(LEFT, (slice(20, 30), slice(60, 70))),  # a speck is no lung
        film(LEFT, RIGHT, blank=RIGHT),  # the network fills a white lung all the same
        film(LEFT, step=6),  # 600 px: counted in every second pixel
    ],
)
def test_one_lung_is_said_first_and_in_the_measurements(result):
    said = with_findings(replace(result, warnings=("of the image",)))
    assert said.warnings == (
        "implausible: one lung found, where two lungs are usual",
        "of the image",
    )
    assert isinstance(said.warnings[0], Doubt)
    assert set(said.measure()["implausible"]) == {"yes"}


def test_a_white_lung_is_blank_also_with_grain():
    rng = np.random.default_rng(0)
    structure = cv2.GaussianBlur(rng.normal(size=(500, 500)), (0, 0), 5)
    pixels = 100 + structure * 15 / structure.std()
    result = film(LEFT, RIGHT, step=5)
    grain = rng.normal(0, 6, pixels.shape)
    image = replace(result.image, pixels=(pixels + grain).astype(np.uint8))
    assert texts(replace(result, image=image)) == []

    pixels[100:400, 300:450] = 190
    image = replace(result.image, pixels=(pixels + grain).astype(np.uint8))
    said = texts(replace(result, image=image))
    assert said == ["implausible: one lung found, where two lungs are usual"]


def test_four_lungs_of_two_films_side_by_side_are_too_many():
    top, bottom = slice(10, 45), slice(55, 90)
    left, right = slice(10, 40), slice(60, 90)
    result = film((top, left), (top, right), (bottom, left), (bottom, right))
    assert texts(result) == ["implausible: four lungs found, where two lungs are usual"]


def test_of_a_stack_of_films_the_slice_is_named():
    films = [film(LEFT, RIGHT), film(LEFT)]
    image = uh.MedicalImage(np.stack([one.image.pixels for one in films]), "ZYX")
    found = np.stack([one.probabilities for one in films], axis=1)
    result = uh.Segmentation(image, LUNGS, found, threshold=0.5)
    assert texts(result) == ["implausible: slice 1: one lung found, where two lungs are usual"]


def test_an_empty_answer_is_no_finding():
    assert texts(film()) == []
    assert len(film().measure()) == 0


def test_a_named_class_is_counted_alone():
    """A card of several structures, as of lungs and a heart, expects parts of each of them."""
    card = replace(
        HIPPOCAMPUS,
        localise=None,
        expected_parts=(ExpectedParts("anterior part", classes=("anterior",), count=1),),
    )
    found = np.zeros((3, 100, 100), np.float32)
    found[0] = 1
    for channel, place in ((1, LEFT), (1, RIGHT), (2, (slice(85, 95), slice(0, 90)))):
        found[0][place] = 0
        found[channel][place] = 1
    image = uh.MedicalImage(film().image.pixels, "YX")
    result = uh.Segmentation(image, card, found, threshold=0.5)
    assert texts(result) == [
        "implausible: two anterior parts found, where one anterior part is usual"
    ]


def hippocampi(*lengths: int, places: bool = True) -> uh.Segmentation:
    """Bars of 10 x 10 x length voxels of 1 mm on the left, and, if there are two, the right."""
    found = np.zeros((3, 90, 40, 20), np.float32)
    found[0] = 1
    named = {}
    for index, (side, length) in enumerate(zip(("left", "right"), lengths, strict=False)):
        x = 10 + 25 * index
        found[0, :length, x - 5 : x + 5, 5:15] = 0
        found[2, :length, x - 5 : x + 5, 5:15] = 1
        # As displayed, (z, y, x): x runs to the left, and y to the back.
        named[side] = (9.5, 39 - x, 89 - length / 2)
    image = nifti(np.random.default_rng(3).normal(size=(90, 40, 20)).astype(np.float32))
    return uh.Segmentation(image, HIPPOCAMPUS, found, threshold=0.5, places=named if places else {})


def flair(*sizes: int, axes: str = "ZYX") -> uh.Segmentation:
    """A stack in which cubes of these sizes were found, in px, beside each other."""
    found = np.zeros((1, 12, 40, 120), np.float32)
    for index, size in enumerate(sizes):
        found[0, :size, 5 : 5 + size, 15 * index : 15 * index + size] = 0.9
    pixels = np.random.default_rng(3).integers(60, 120, found.shape[1:]).astype(np.uint8)
    if axes == "YX":
        pixels, found = pixels[0], found[:, 0]
    return uh.Segmentation(uh.MedicalImage(pixels, axes), FLAIR, found, threshold=0.5)


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "YX"])
def test_a_tumour_and_two_pieces_of_it_are_usual(axes):
    assert texts(flair(axes=axes)) == []
    assert texts(flair(8, axes=axes)) == []
    assert texts(flair(8, 6, 7, axes=axes)) == []


def test_many_separate_lesions_are_of_another_kind():
    (text,) = texts(flair(8, 6, 7, 8))
    assert isinstance(text, Doubt)
    expected = "four separate regions found, where at most three separate regions are usual"
    assert expected in text
    assert "multiple sclerosis" in text
    result = with_findings(flair(8, 6, 7, 8, 5))
    assert result.expected_dice is None
    assert "five separate regions" in result.warnings[0]
    assert set(result.measure()["implausible"]) == {"yes"}


def test_specks_beside_a_tumour_do_not_count():
    # The smaller cubes have 8 of 512 px.
    assert texts(flair(8, 2, 2, 2, 2)) == []


def test_separate_regions_are_counted_at_each_point_in_time():
    (first, *others) = texts(flair(8, 6, 7, 8, axes="TYX"))
    assert "four separate regions" in first
    assert len(others) == 5


def test_volumes_between_1_and_7_ml_on_each_side_are_plausible():
    assert texts(hippocampi(10, 20)) == []
    assert texts(hippocampi(69, 69)) == []


def test_a_side_that_is_too_large_is_named_and_its_rows_are_marked():
    result = hippocampi(30, 71)
    assert texts(result) == [
        "very unequal (left 3.00 mL, right 7.10 mL): look whether all of it was found",
        "implausible: right 7.10 mL, where 1 to 7 mL are usual",
    ]
    table = result.measure()
    assert dict(zip(table["side"], table["implausible"], strict=True)) == {
        "left": "no",
        "right": "yes",
    }


def test_a_side_that_is_too_small_is_named():
    (unequal, small) = findings_on_parts(hippocampi(9, 30))
    assert small.text == "implausible: left 0.90 mL, where 1 to 7 mL are usual"
    assert isinstance(small.text, Doubt)
    assert not isinstance(unequal.text, Doubt)


def test_half_the_volume_is_not_yet_unequal():
    assert texts(hippocampi(20, 40)) == []
    assert "very unequal" in texts(hippocampi(19, 40))[0]


def test_a_large_side_does_not_delete_the_small_one():
    """Only components of 20 % of the largest are kept in a crop, but each side of a head is."""
    result = hippocampi(10, 69)
    sides = result.measure().groupby("side")["volume_mL"].sum()
    assert sides.to_dict() == {"left": 1.0, "right": 6.9}
    assert len(hippocampi(10, 69, places=False).measure()) == 1


def test_a_threshold_that_nothing_reaches_leaves_an_empty_table():
    result = replace(hippocampi(10, 20), threshold=1.1)
    table = result.measure()
    assert len(table) == 0
    assert {"side", "implausible", "volume_mL"} <= set(table)


def test_of_a_crop_the_largest_component_and_the_sum_are_compared():
    assert texts(hippocampi(60, 60, places=False)) == []  # both sides
    assert texts(hippocampi(71, places=False)) == [
        "implausible: hippocampus 7.10 mL, where 1 to 7 mL are usual"
    ]
    assert texts(hippocampi(9, places=False)) == [
        "implausible: hippocampus 0.90 mL, where 1 to 7 mL are usual"
    ]


def test_without_a_spacing_no_volume_is_known():
    result = hippocampi(9, places=False)
    image = uh.MedicalImage(result.image.pixels, "XYZ")
    assert texts(replace(result, image=image)) == []


def test_the_former_field_for_volumes_is_still_read():
    fields = {
        "name": "old",
        "title": "Old",
        "modality": "MRI",
        "classes": ["one"],
        "colors": ["#E69F00"],
        "localise": {
            "template": "mni_icbm152_t1_2mm.nii.gz",
            "names": ["left"],
            "centres": [[0, 0, 0]],
            "box": [8, 8, 8],
            "volumes": [1.0, 7.0],
        },
    }
    assert card_of(fields).expected_parts[0].volumes == (1.0, 7.0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"count": -1}, "count=-1"),
        ({"most": -1}, "most=-1"),
        ({"least_share": 1.5}, "least_share=1.5"),
        ({"least_texture": -0.1}, "least_texture=-0.1"),
        ({"volumes": (3.0, 1.0)}, "volumes="),
        ({"name": ""}, "name=''"),
    ],
)
def test_expected_parts_that_make_no_sense_are_refused(wrong, words):
    with pytest.raises(uh.ModelError, match=words):
        ExpectedParts(**{"name": "lung", **wrong})


def test_parts_of_a_class_that_the_card_lacks_are_refused():
    with pytest.raises(uh.ModelError, match="expected_parts"):
        replace(LUNGS, expected_parts=(ExpectedParts("heart", classes=("heart",)),))
