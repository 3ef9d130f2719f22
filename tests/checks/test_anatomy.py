"""Warnings about the body part, the direction of view and unknown sides that a file states."""

from dataclasses import replace
from typing import get_args

import nibabel as nib
import numpy as np
import pytest
from helpers.files import dicom
from pydicom import Dataset

import unet_helpers as uh
from unet_helpers.checks.anatomy import (
    BODY_PARTS,
    VIEW_WORDS,
    check_body_part,
    check_component,
    check_sides,
    check_view,
)
from unet_helpers.checks.checks import CHECKS
from unet_helpers.checks.view import View
from unet_helpers.doubt import Doubt
from unet_helpers.networks.card import Direction
from unet_helpers.networks.cards import MODELS

LUNGS = MODELS["lungs"]
HIPPOCAMPUS = MODELS["hippocampus"]
FLAIR = MODELS["brain_flair"]
NUCLEI = MODELS["nuclei"]

RADIOGRAPH = np.random.default_rng(0).integers(0, 1024, (64, 64), np.uint16)


def x_ray(path, **tags) -> View:
    """A radiograph whose header has these tags."""
    dicom(RADIOGRAPH, **({"Modality": "DX"} | tags))(path / "a.dcm")
    return View(uh.read_image(path / "a.dcm"))


def code(meaning: str) -> list[Dataset]:
    item = Dataset()
    item.CodeMeaning = meaning
    return [item]


def only(warnings: list[str]) -> str:
    (warning,) = warnings
    assert isinstance(warning, Doubt)
    return warning


@pytest.mark.parametrize(
    "part",
    [
        *("KNEE", "Knie", "HAND", "ABDOMEN", "LSPINE", "T-SPINE", "SKULL", "FOOT", "PELVIS"),
        *("UPPER LIMB", "LWS", "Rachis lombaire", "KUB", "Bassin", "Oberschenkel", "Sprunggelenk"),
    ],
)
def test_another_part_of_the_body_is_doubted(part, tmp_path):
    warning = only(check_body_part(x_ray(tmp_path, BodyPartExamined=part), LUNGS))
    assert warning.startswith(f"its body part is {part}, but lungs reads chest X-ray")


@pytest.mark.parametrize(
    "part",
    ["CHEST", "THORAX", "Thorax", "TÓRAX", "LUNG", "LUNGS", "PULMON", "CHESTABDOMEN", "RIBS"],
)
def test_the_chest_is_not_doubted_in_any_spelling(part, tmp_path):
    tags = {"BodyPartExamined": part, "SpecificCharacterSet": "ISO_IR 100"}
    assert check_body_part(x_ray(tmp_path, **tags), LUNGS) == []


@pytest.mark.parametrize("part", ["", "OTHER", "UNKNOWN", "ROUTINE", "WHOLEBODY", "X"])
def test_a_part_that_is_not_known_is_not_doubted(part, tmp_path):
    assert check_body_part(x_ray(tmp_path, BodyPartExamined=part), LUNGS) == []


def test_a_body_part_is_also_read_from_its_code_and_from_the_description(tmp_path):
    view = x_ray(tmp_path, AnatomicRegionSequence=code("Knee joint"))
    assert "Knee joint" in only(check_body_part(view, LUNGS))
    view = x_ray(tmp_path, SeriesDescription="RIGHT KNEE AP")
    assert "'RIGHT KNEE AP'" in only(check_body_part(view, LUNGS))

    view = x_ray(tmp_path, ProtocolName="KNEE AP")
    assert "'KNEE AP'" in only(check_body_part(view, LUNGS))
    view = x_ray(tmp_path, StudyDescription="XR KNEE 2 VIEWS")
    assert "of the study 'XR KNEE 2 VIEWS'" in only(check_body_part(view, LUNGS))

    # A body part that is no known one does not hide the description.
    tags = {"BodyPartExamined": "EXTREMIDADE", "SeriesDescription": "Joelho AP"}
    assert "'Joelho AP'" in only(check_body_part(x_ray(tmp_path, **tags), LUNGS))

    # The body part counts where both are given, and the series before its study.
    tags = {"BodyPartExamined": "CHEST", "SeriesDescription": "AP hand held"}
    assert check_body_part(x_ray(tmp_path, **tags), LUNGS) == []
    tags = {"SeriesDescription": "Thorax ap", "StudyDescription": "Polytrauma, Becken"}
    assert check_body_part(x_ray(tmp_path, **tags), LUNGS) == []


@pytest.mark.parametrize("card", [HIPPOCAMPUS, FLAIR])
@pytest.mark.parametrize(
    ("part", "is_doubted"),
    [
        *(("HEAD", False), ("BRAIN", False), ("Kopf", False), ("HEADNECK", False)),
        *(("KNEE", True), ("CSPINE", True), ("BREAST", True)),
    ],
)
def test_networks_of_the_brain_read_heads(card, part, is_doubted, tmp_path):
    view = x_ray(tmp_path, BodyPartExamined=part, Modality="MR")
    assert bool(check_body_part(view, card)) == is_doubted


def test_a_card_of_no_part_of_the_body_doubts_none(tmp_path):
    view = x_ray(tmp_path, BodyPartExamined="KNEE", ViewPosition="LL")
    assert check_body_part(view, NUCLEI) == []
    assert check_view(view, NUCLEI) == []


def test_the_words_of_cards_are_those_of_the_tables():
    for card in MODELS.values():
        assert set(card.body_parts) <= set(BODY_PARTS)
    assert set(VIEW_WORDS) == set(get_args(Direction))


@pytest.mark.parametrize("position", ["LATERAL", "LL", "RL", "LAT", "L LAT", "LPO", "RAO"])
def test_a_lateral_or_oblique_view_is_doubted(position, tmp_path):
    warning = only(check_view(x_ray(tmp_path, ViewPosition=position), LUNGS))
    assert f"({position})" in warning


@pytest.mark.parametrize("position", ["PA", "AP", "", "A.P.", "LLD", "ERECT", "LATERAL DECUBITUS"])
def test_a_frontal_or_unknown_view_is_not_doubted(position, tmp_path):
    assert check_view(x_ray(tmp_path, ViewPosition=position), LUNGS) == []


def test_a_view_is_also_read_from_its_code_the_orientation_and_the_description(tmp_path):
    for tags in (
        {"ViewCodeSequence": code("left lateral")},
        {"PatientOrientation": ["A", "F"]},
        {"PatientOrientation": ["P", "F"]},
        {"SeriesDescription": "W Chest Lat."},
        {"SeriesDescription": "Thorax seitl."},
        {"SeriesDescription": "Torax perfil"},
        {"ProtocolName": "CHEST LATERAL"},
        {"ViewPosition": "OTHER", "SeriesDescription": "Thorax profil"},
    ):
        only(check_view(x_ray(tmp_path, **tags), LUNGS))
    for tags in (
        {"ViewCodeSequence": code("postero-anterior")},
        {"PatientOrientation": ["L", "F"]},
        {"SeriesDescription": "Chest PA and LAT"},
        {"SeriesDescription": "Thorax face et profil"},
        {"ViewPosition": "PA", "SeriesDescription": "Chest LAT"},
    ):
        assert check_view(x_ray(tmp_path, **tags), LUNGS) == []


@pytest.mark.parametrize(
    ("kind", "is_doubted"),
    [
        (["ORIGINAL", "PRIMARY", "P", "ND"], True),
        (["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"], True),
        (["ORIGINAL", "PRIMARY", "M", "ND"], False),
        (["ORIGINAL", "PRIMARY"], False),
    ],
)
def test_a_phase_image_alone_is_doubted(kind, is_doubted, tmp_path):
    view = x_ray(tmp_path, ImageType=kind, Modality="MR")
    assert bool(check_component(view, FLAIR)) == is_doubted
    assert check_component(view, NUCLEI) == []


VOXELS = np.random.default_rng(0).integers(0, 900, (40, 44, 48)).astype(np.int16)
AFFINE = np.diag([-3.0, 3.0, 3.0, 1.0])


def nifti_with_codes(path, sform: int, qform: int):
    file = nib.Nifti1Image(VOXELS, AFFINE)
    file.set_sform(AFFINE, sform)
    file.set_qform(AFFINE, qform)
    nib.save(file, path / "a.nii.gz")
    return path / "a.nii.gz"


def analyze_pair(path):
    nib.save(nib.AnalyzeImage(VOXELS, AFFINE), path / "a.hdr")
    return path / "a.hdr"


def voxels_of_analyze(path):
    return analyze_pair(path).with_suffix(".img")


def nifti_without_codes(path):
    return nifti_with_codes(path, 0, 0)


def meta_image_without_directions(path):
    header = (
        "NDims = 3\nDimSize = 48 44 40\nElementSpacing = 3 3 3\n"
        "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    )
    (path / "a.mha").write_bytes(b"ObjectType = Image\n" + header.encode() + VOXELS.tobytes())
    return path / "a.mha"


def nrrd_of_a_room(path):
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: scanner-xyz\nsizes: 48 44 40\n"
        "space directions: (3,0,0) (0,3,0) (0,0,3)\nendian: little\nencoding: raw\n"
        "space origin: (0,0,0)\n\n"
    )
    (path / "a.nrrd").write_bytes(header.encode() + VOXELS.tobytes())
    return path / "a.nrrd"


def mgh_without_directions(path):
    file = nib.MGHImage(VOXELS, AFFINE)
    nib.save(file, path / "a.mgh")
    content = bytearray((path / "a.mgh").read_bytes())
    content[28:30] = b"\0\0"
    (path / "a.mgh").write_bytes(content)
    return path / "a.mgh"


UNORIENTED = [
    analyze_pair,
    voxels_of_analyze,
    nifti_without_codes,
    meta_image_without_directions,
    nrrd_of_a_room,
    mgh_without_directions,
]


@pytest.mark.parametrize("write", UNORIENTED)
def test_sides_of_a_file_without_orientation_are_warned_of(write, tmp_path):
    image = uh.read_image(write(tmp_path))
    assert any("orientation unknown" in note for note in image.notes)
    assert not image.orientation_known
    (warning,) = check_sides(View(image), HIPPOCAMPUS)
    assert "left and right may be exchanged" in warning
    assert check_sides(View(image), FLAIR) == []

    titles = [ax.get_title() for ax in uh.three_planes(image).axes]
    assert titles[0].startswith("Along the stack")


@pytest.mark.parametrize(("sform", "qform"), [(1, 0), (0, 1), (2, 2)])
def test_sides_of_a_file_with_orientation_are_not_warned_of(sform, qform, tmp_path):
    image = uh.read_image(nifti_with_codes(tmp_path, sform, qform))
    assert image.orientation_known
    assert check_sides(View(image), HIPPOCAMPUS) == []


def test_an_analyze_pair_with_spms_matrix_has_an_orientation(tmp_path):
    nib.save(nib.Spm99AnalyzeImage(VOXELS, AFFINE), tmp_path / "a.hdr")
    assert uh.read_image(tmp_path / "a.hdr").orientation_known
    (tmp_path / "a.mat").unlink()
    assert not uh.read_image(tmp_path / "a.hdr").orientation_known


def test_sides_of_an_array_are_warned_of_where_they_are_named():
    """They are named in a whole head, not in a crop."""
    head = uh.read_image(VOXELS, spacing=3.0)
    assert len(check_sides(View(head), HIPPOCAMPUS)) == 1
    crop = replace(head, spacing=(1.0, 1.0, 1.0))
    assert check_sides(View(crop), HIPPOCAMPUS) == []
    assert check_sides(View(uh.read_image(VOXELS[0])), HIPPOCAMPUS) == []


def test_all_checks_of_the_file_are_in_the_table():
    assert {check_body_part, check_view, check_component, check_sides} <= set(CHECKS)
