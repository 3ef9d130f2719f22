"""Cards with values that make no sense are refused, with a message that names field and choices."""

import json
from dataclasses import asdict, replace
from typing import get_args

import numpy as np
import pytest

from unet_helpers import MODELS, ModelError
from unet_helpers.checks.checks import SEQUENCES
from unet_helpers.networks.anatomy import Localise
from unet_helpers.networks.card import MriSequence
from unet_helpers.networks.cards import Preprocessing, card_of, read_cards

CARD = MODELS["hippocampus"]
JSON = json.dumps(asdict(CARD))


def test_a_misspelt_choice_is_refused_with_the_choices():
    with pytest.raises(ModelError) as caught:
        Preprocessing(scale="sqaure", size=100)
    assert str(caught.value) == (
        "Preprocessing: scale='sqaure': choose one of 'native', 'square', 'field of view', "
        "'objects'. Did you mean 'square'?"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "slice"),
        ("channels", "gray"),
        ("channels", None),
        ("intensities", "percentiles"),
        ("percentiles", (99.5, 0.5)),
        ("percentiles", (1, 1)),
        ("percentiles", (-1, 99)),
        ("percentiles", (1, 101)),
        ("percentiles", (0.5,)),
        ("sigma", 0),
        ("sigma", "wide"),
        ("scale", "Square"),
        ("size", -1),
        ("size", 12.5),
        ("size", True),
        ("spacing", 0.0),
        ("spacing", "1 mm"),
        ("context", -1),
        ("axes", ()),
        ("axes", (0, 0)),
        ("axes", (3,)),
        ("axes", [0]),
        ("logit_shifts", ((700.0, 0.4),)),
        ("smallest_objects", -1),
        ("smallest_objects", 20),
    ],
)
def test_preprocessing_that_makes_no_sense_is_refused(field, value):
    with pytest.raises(ModelError, match=rf"^Preprocessing: {field}="):
        Preprocessing(**{field: value})


@pytest.mark.parametrize("widths", [(700.0, 700.0), (900.0, 700.0), (0.0, 700.0)])
def test_shifts_of_logits_are_at_ascending_widths(widths):
    shifts = tuple((width, 0.1) for width in widths)
    with pytest.raises(ModelError, match=r"^Preprocessing: logit_shifts="):
        Preprocessing(intensities="local", scale="field of view", size=100, logit_shifts=shifts)


@pytest.mark.parametrize("size", [100, 99, -1])
def test_the_largest_size_is_above_the_size(size):
    with pytest.raises(ModelError, match=r"^Preprocessing: largest_size="):
        Preprocessing(intensities="local", scale="field of view", size=100, largest_size=size)


def test_only_a_field_of_view_has_a_largest_size():
    with pytest.raises(ModelError, match=r"^Preprocessing: largest_size="):
        Preprocessing(scale="objects", size=100, largest_size=200)


def test_with_a_largest_size_logits_are_shifted_at_widths_that_the_zoom_tells():
    reading = {"intensities": "local", "scale": "field of view", "size": 100, "largest_size": 200}
    assert Preprocessing(**reading, logit_shifts=((100.0, 0.1),))
    with pytest.raises(ModelError, match=r"^Preprocessing: logit_shifts="):
        Preprocessing(**reading, logit_shifts=((101.0, 0.1),))


@pytest.mark.parametrize(
    "reading", [{"scale": "square"}, {"scale": "objects"}, {"method": "buda2019"}]
)
def test_what_is_brought_to_a_size_needs_one(reading):
    with pytest.raises(ModelError, match="size=0"):
        Preprocessing(**reading)
    assert Preprocessing(**reading, size=1).size == 1


@pytest.mark.parametrize(
    "reading",
    [
        {"percentiles": (0, 100)},
        {"percentiles": (10, 99)},
        {"sigma": 0.1},
        {"spacing": 1e-6},
        {"spacing": 1},
        {"axes": (2, 0)},
        {"size": np.int64(5)},
    ],
)
def test_unusual_preprocessing_is_allowed(reading):
    Preprocessing(**reading)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("classes", ()),
        ("classes", "ab"),
        ("colors", ("#E69F00",)),
        ("colors", ("#E69F00", "orange")),
        ("preprocessing", {"size": 3}),
        ("out_channels", 1),
        ("out_channels", 2),
        ("out_channels", 4),
        ("features", 0),
        ("features", "many"),
        ("depth", 0),
        ("depth", None),
        ("threshold", -0.01),
        ("threshold", 1.01),
        ("threshold", float("nan")),
        ("instance_method", "watershed"),
        ("measures", "trees"),
        ("objects", "both"),
        ("min_component_share", -0.1),
        ("min_component_share", 1.1),
        ("flips", 3),
        ("flips", 0),
        ("flips", "2"),
        ("flips", True),
        ("int8_ranges", ((1.0, 1.0),)),
        ("int8_ranges", ((0.0, 1.0, 2.0),)),
        ("usual_share", (0.5, 0.1)),
        ("usual_share", (0.0, 1.1)),
        ("usual_share", (-0.1, 1.0)),
        ("sequence", "T1"),
        ("dicom", "MR"),
        ("scores", (0.9,)),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(field, value):
    with pytest.raises(ModelError, match=rf"^ModelCard: {field}="):
        replace(CARD, **{field: value})


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 0},
        {"threshold": 1.0},
        {"min_component_share": 1},
        {"flips": 8},
        {"usual_share": (0, 1)},
        {"sequence": ""},
        {"features": 1, "depth": 1},
    ],
)
def test_values_at_the_limits_are_allowed(change):
    replace(CARD, **change)


@pytest.mark.parametrize("out_channels", [1, 2])
def test_one_class_is_answered_by_one_channel_or_by_two(out_channels):
    one = replace(MODELS["lungs"], out_channels=out_channels)
    assert one.out_channels == out_channels
    with pytest.raises(ModelError, match="out_channels=3: 1 for one class"):
        replace(one, out_channels=3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("centres", ((0.0, 0.0, 0.0),)),
        ("centres", ((0.0, 0.0), (1.0, 1.0))),
        ("box", (1, 1, 0)),
        ("beyond", -1.0),
    ],
)
def test_places_that_make_no_sense_are_refused(field, value):
    with pytest.raises(ModelError, match=rf"^Localise: {field}="):
        replace(CARD.localise, **{field: value})


class Box:
    """A stack of slices, for ``Localise.wanted``."""

    def __init__(self, shape: tuple[int, ...], spacing: tuple[float, ...] | None) -> None:
        self.pixels = np.zeros(shape, np.uint8)
        self.spacing = spacing


@pytest.mark.parametrize(
    ("shape", "spacing", "expected"),
    [
        ((11, 11, 11), (10, 10, 10), True),
        ((10, 10, 11), (10, 10, 10), False),  # as long as the limit, not longer
        ((11, 11, 9), (10, 10, 10), True),
        ((11, 9, 9), (10, 10, 12), True),
        ((11, 9, 9), (10, 10, 11), False),
        ((11, 11, 11), None, False),
        ((11, 11, 11, 3), (10, 10, 10), False),
        ((11, 11, 11), (10, 10), False),
    ],
)
def test_an_image_longer_than_a_crop_along_two_axes_is_searched(shape, spacing, expected):
    places = Localise("t.nii.gz", ("a",), ((0, 0, 0),), (1, 1, 1), beyond=100)
    assert places.wanted(Box(shape, spacing)) is expected


@pytest.mark.parametrize(
    ("channels", "context", "expected"),
    [("rgb", 0, 3), ("stain", 0, 3), ("green", 0, 1), ("grey", 0, 1), ("flair", 2, 5)],
)
def test_channels_that_the_network_reads(channels, context, expected):
    reading = Preprocessing(channels=channels, context=context)
    assert replace(CARD, preprocessing=reading).in_channels == expected


@pytest.mark.parametrize(
    ("change", "cls", "nearest"),
    [
        ({"treshold": 0.5}, "ModelCard", "threshold"),
        ({"preprocessing": {"szie": 5}}, "Preprocessing", "size"),
        ({"localise": {"boxes": 5}}, "Localise", "box"),
    ],
)
def test_an_unknown_field_is_named_with_the_nearest(change, cls, nearest):
    with pytest.raises(ModelError, match=rf"{cls} has no field '\w+'\. Did you mean '{nearest}'"):
        card_of(json.loads(JSON) | change)


def test_an_unknown_field_without_a_near_one_is_named():
    with pytest.raises(ModelError, match=r"no field 'telepathy'\. Choose from name, title"):
        card_of(json.loads(JSON) | {"telepathy": 1})


def test_unknown_planes_of_an_old_card_are_refused():
    with pytest.raises(ModelError, match="planes='four'"):
        card_of(json.loads(JSON) | {"preprocessing": {"planes": "four"}})


def test_a_folder_of_cards_is_read_by_name(tmp_path):
    (tmp_path / "hippocampus.json").write_text(JSON)
    assert read_cards(tmp_path) == {"hippocampus": CARD}


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"name": "b"}', JSON])
def test_a_wrong_card_is_named_by_its_file(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ModelError, match=r"a\.json: "):
        read_cards(tmp_path)


def test_sequences_of_mri_are_those_that_files_are_checked_for():
    assert set(get_args(MriSequence)) == {"", *SEQUENCES}
