"""``segment`` reads, stacks and measures each thing once, and hands on what it found."""

import sys

import numpy as np
import pytest
from helpers.places import ROOT
from helpers.results import result_of_mask

import unet_helpers as uh
from unet_helpers.checks.likeness import measure_likeness
from unet_helpers.images import pillow
from unet_helpers.images.read import read_image
from unet_helpers.images.stack import to_stack
from unet_helpers.networks.load import load_model
from unet_helpers.preprocessing.field_of_view import field_of_view
from unet_helpers.results.measurements import measure
from unet_helpers.results.objects import find_objects

RETINA = ROOT / "sample_images/retina.jpg"


@pytest.fixture
def calls_of(monkeypatch):
    """Record the arguments of each call of a function, wherever the package has imported it."""

    def record(function) -> list[tuple]:
        calls = []

        def recorded(*arguments, **options):
            calls.append(arguments)
            return function(*arguments, **options)

        for name, module in list(sys.modules.items()):
            if name.startswith("unet_helpers"):
                for attribute, value in list(vars(module).items()):
                    if value is function:
                        monkeypatch.setattr(module, attribute, recorded)
        return calls

    return record


def test_an_image_is_read_once(calls_of):
    reading = calls_of(read_image)
    decoding = calls_of(pillow.pixels_of)
    uh.segment(RETINA, progress=False)
    assert len(reading) == len(decoding) == 1


def test_an_image_is_stacked_once(calls_of):
    calls = calls_of(to_stack)
    uh.segment(RETINA, progress=False)
    assert len(calls) == 1


def test_its_likeness_is_measured_once(calls_of):
    calls = calls_of(measure_likeness)
    result = uh.segment(RETINA, progress=False)
    assert len(calls) == 1
    assert uh.segment(RETINA, "retinal_vessels", progress=False).card is result.card
    assert len(calls) == 2


def test_the_field_of_view_of_the_same_pixels_is_found_once(calls_of):
    calls = calls_of(field_of_view)
    result = uh.segment(RETINA, progress=False)
    result.summary()
    result.measure()

    # The photograph itself, its overview, and half of it, from which the overview is cut.
    seen = [(pixels.shape, pixels.dtype.str, pixels.tobytes()) for (pixels,) in calls]
    assert len(set(seen)) == len(seen) == 3


def test_the_result_measures_nothing_again(calls_of):
    result = uh.segment(uh.sample("fluorescence"), progress=False)
    calls = calls_of(measure_likeness)
    assert result.expected_dice is not None
    assert result.summary()
    assert calls == []


def test_a_network_that_needs_no_likeness_measures_none(calls_of):
    network = load_model("lungs")
    calls = calls_of(measure_likeness)
    flair = uh.MedicalImage(uh.read_image(RETINA).pixels[::8, ::8, 1], "YX", description="FLAIR")
    uh.segment(flair, "brain_flair", progress=False)
    assert calls == []
    uh.segment(flair, network, progress=False)
    assert len(calls) == 1


def test_objects_are_found_and_measured_once_whatever_is_asked_of_a_result(calls_of, tmp_path):
    finding = calls_of(find_objects)
    measuring = calls_of(measure)
    result = result_of_mask(np.eye(64, dtype=bool))
    assert len(result.measure()) == 1
    assert result.summary()
    result.save(tmp_path)
    result.report(tmp_path / "a.html")
    assert len(finding) == len(measuring) == 1
