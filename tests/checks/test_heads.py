"""The sequence of a head, by the intensities of its brain."""

import numpy as np
import pytest
from helpers.drawn import head
from helpers.places import DATA
from helpers.volumes import nifti

from unet_helpers.checks.heads import head_sequence, is_thin_head
from unet_helpers.checks.view import View
from unet_helpers.images.arrays import from_array
from unet_helpers.images.image import MedicalImage
from unet_helpers.images.stack import to_stack


@pytest.mark.parametrize("sequence", ["t1", "t2"])
@pytest.mark.parametrize("spacing", [(3.0, 3.0, 3.0), (2.9, 2.9, 2.9), None])
def test_bright_white_matter_or_bright_fluid_tells_the_sequence(sequence, spacing):
    image = MedicalImage(head(sequence), "ZYX", spacing)
    assert head_sequence(View(image)) == sequence


def test_uniform_tissue_is_flair_in_thick_slices_and_unclear_in_thin_ones():
    thick = MedicalImage(head("flair", depth=24), "ZYX", (6.0, 3.0, 3.0))
    assert head_sequence(View(thick)) == "flair"
    assert head_sequence(View(from_array(head("flair")[30]))) == "flair"
    thin = MedicalImage(head("flair"), "ZYX", (2.9, 2.9, 2.9))
    assert head_sequence(View(thin)) == ""


def test_nothing_is_told_of_an_image_without_a_head():
    assert head_sequence(View(from_array(np.zeros((64, 64), np.uint8)))) == ""


@pytest.mark.parametrize(
    ("shape", "step", "expected"),
    [
        ((180, 200, 160), 1.0, True),
        ((101, 101, 101), 1.0, True),
        ((100, 180, 180), 1.0, False),  # a slab
        ((180, 200, 330), 1.0, False),  # longer than a head
        ((60, 70, 60), 3.0, False),  # thick slices
    ],
)
def test_a_whole_head_has_the_size_of_a_head_along_every_axis(shape, step, expected):
    volume = np.broadcast_to(np.int16(7), shape)
    assert is_thin_head(to_stack(nifti(volume, spacing=(step,) * 3))) is expected


def test_a_volume_without_a_spacing_is_no_whole_head():
    assert not is_thin_head(to_stack(MedicalImage(np.zeros((180, 200, 160)), "ZYX")))


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "brain_flair").is_dir(), reason="needs the data sets")
def test_stacks_of_flair_are_flair():
    from unet_helpers.training.tasks import read_cases

    cases = list(read_cases("brain_flair", DATA / "brain_flair"))
    told = [head_sequence(View(case.image)) for case in cases if case.part != "test"]
    assert told.count("flair") >= 0.95 * len(told)
