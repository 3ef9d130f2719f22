"""Weights files of version 0.1, whose cards have other field names, load as what they were."""

import json
from dataclasses import asdict

import pytest
import torch
from helpers.networks import make_network
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from unet_helpers import MODELS, ModelError, load_model, save_model
from unet_helpers.networks.cards import WEIGHTS, card_of

# the card as version 0.1 wrote it into nuclei.safetensors
NUCLEI = {
    "name": "nuclei",
    "title": "Cell nuclei",
    "modality": "fluorescence",
    "classes": ["interior", "border"],
    "colors": ["#009E73", "#F0E442"],
    "reading": {
        "channels": "stain",
        "intensities": "percentile",
        "percentiles": [0.1, 99.9],
        "sigma": 30.0,
        "scale": "objects",
        "size": 24,
        "context": 0,
        "planes": "first",
    },
    "out_channels": 3,
    "features": 16,
    "depth": 4,
    "threshold": 0.6,
    "separate": "interiors",
    "smallest_region": 0.25,
    "flips": 4,
    "mirrors": [],
    "scores": [],
}


def test_an_old_card_has_the_names_of_today():
    card = card_of(json.loads(json.dumps(NUCLEI)))
    assert card.instance_method == "interiors"
    assert card.min_component_share == 0.25
    assert card.classes == ("interior", "border")
    assert card.threshold == 0.6
    assert card.flips == 4
    assert card.in_channels == 3
    assert card.preprocessing.method == "slices"
    assert card.preprocessing.scale == "objects"
    assert card.preprocessing.size == 24
    assert card.preprocessing.axes == (0,)
    assert card.preprocessing.percentiles == (0.1, 99.9)


def test_a_field_that_has_no_use_any_more_is_left_out():
    card = card_of(NUCLEI | {"prevalence": 0.112})
    assert card == card_of(NUCLEI)
    with pytest.raises(ModelError, match="occurrence"):
        card_of(NUCLEI | {"occurrence": 0.112})


@pytest.mark.parametrize(
    ("planes", "expected"),
    [
        ("first", ((0,), "slices")),
        ("three", ((0, 1, 2), "slices")),
        ("published", ((0,), "buda2019")),
    ],
)
def test_how_a_volume_was_sliced_is_kept(planes, expected):
    card = card_of(NUCLEI | {"reading": NUCLEI["reading"] | {"planes": planes}})
    assert (card.preprocessing.axes, card.preprocessing.method) == expected


def test_an_old_file_loads_and_answers_the_same(tmp_path):
    network = make_network(context=1, in_channels=3, channels="grey")
    path = tmp_path / "new.safetensors"
    save_model(network, path)

    fields = json.loads(json.dumps(asdict(network.card)))
    reading = fields.pop("preprocessing") | {"planes": "three"}
    del reading["method"]
    del reading["axes"]
    del fields["objects"]
    fields["reading"] = reading
    fields["separate"] = fields.pop("instance_method")
    fields["smallest_region"] = fields.pop("min_component_share")
    old_path = tmp_path / "old.safetensors"
    save_file(load_file(path), old_path, metadata={"card": json.dumps(fields)})

    new = load_model(path)
    old = load_model(old_path)
    x = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(old(x), new(x))
    assert old.card.preprocessing.context == 1
    assert old.card.preprocessing.axes == (0, 1, 2)


def test_shipped_files_hold_the_card_of_their_table():
    """Some are of version 0.1: reading, network and classes are still those of the table."""
    shipped = sorted(WEIGHTS.glob("*.safetensors"))
    assert shipped
    for path in shipped:
        in_file = load_model(path).card
        in_table = MODELS[path.stem]
        for name in (
            "classes",
            "out_channels",
            "features",
            "depth",
            "instance_method",
            "in_channels",
        ):
            assert getattr(in_file, name) == getattr(in_table, name), (path.stem, name)
        assert in_file.preprocessing.axes == in_table.preprocessing.axes, path.stem


def test_shipped_files_hold_a_card_of_either_version():
    for path in WEIGHTS.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            fields = json.loads(file.metadata()["card"])
        assert "reading" in fields or "preprocessing" in fields, path.stem


def test_a_field_of_the_future_is_refused_not_ignored(tmp_path):
    path = tmp_path / "new.safetensors"
    save_model(make_network(), path)
    fields = json.loads(json.dumps(asdict(make_network().card))) | {"telepathy": 1}
    save_file(load_file(path), path, metadata={"card": json.dumps(fields)})
    with pytest.raises(ModelError, match="telepathy"):
        load_model(path)
