"""Data sets are split by patient, child or block; wrong folders, names and sizes are named."""

import numpy as np
import pytest
from PIL import Image

import unet_helpers as uh
from unet_helpers.networks.cards import MODELS
from unet_helpers.training.datasets import first_number, part_by_number
from unet_helpers.training.tasks import TASKS, read_cases
from unet_helpers.training.tasks.em_membranes import BLOCKS
from unet_helpers.training.tasks.nuclei_he import kind_and_field, part_of_field


def write_pair(folder, name: str, image: Image.Image, mask: Image.Image) -> None:
    for part, picture in (("images", image), ("masks", mask)):
        (folder / part).mkdir(exist_ok=True)
        picture.save(folder / part / f"{name}.png")


@pytest.fixture
def lungs(tmp_path):
    for number in range(20):
        picture = Image.new("L", (32, 32), 90)
        write_pair(tmp_path, f"CHNCXR_{number:04d}_0", picture, picture)
    return tmp_path


def test_of_twenty_patients_two_are_validated_and_two_tested_on(lungs):
    parts = [case.part for case in read_cases("lungs", lungs)]
    assert {part: parts.count(part) for part in set(parts)} == {
        "train": 16,
        "validation": 2,
        "test": 2,
    }


@pytest.mark.parametrize(
    ("number", "part"), [(0, "test"), (1, "train"), (8, "train"), (9, "validation"), (30, "test")]
)
def test_the_last_digit_decides_about_the_part(number, part):
    assert part_by_number(number) == part


@pytest.mark.parametrize(
    ("kind", "number", "part"),
    [
        ("ISBI", 18, "train"),
        ("ISBI", 19, "validation"),
        ("ISBI", 21, "validation"),
        ("ISBI", 22, "test"),
        ("VNC", 7, "train"),
        ("VNC", 8, "validation"),
        ("VNC", 10, "test"),
    ],
)
def test_membranes_are_split_by_block_of_slices(kind, number, part):
    assert BLOCKS[kind].part_of(number) == part


@pytest.mark.parametrize(
    ("name", "kind", "field", "part"),
    [
        ("monuseg_TCGA-21-5786", "monuseg", "TCGA-21-5786", "test"),
        ("monuseg_TCGA-B0-5710", "monuseg", "TCGA-B0-5710", "validation"),
        ("consep_train_7_001", "consep", "07", "test"),
        ("consep_train_18_000", "consep", "18", "validation"),
        ("consep_train_1_000", "consep", "01", "train"),
    ],
)
def test_tiles_of_a_field_go_to_one_part(name, kind, field, part):
    assert kind_and_field(name) == (kind, field)
    assert part_of_field(field) == part


def test_both_eyes_of_a_child_go_to_one_part(tmp_path):
    for child in range(1, 11):
        for eye in "LR":
            name = f"chase_{child:02d}{eye}"
            write_pair(tmp_path, name, Image.new("RGB", (8, 8), "brown"), Image.new("L", (8, 8)))

    parts_of_child: dict[str, set] = {}
    for case in read_cases("retinal_vessels", tmp_path):
        parts_of_child.setdefault(case.group, set()).add(case.part)
    assert len(parts_of_child) == 10
    assert all(len(parts) == 1 for parts in parts_of_child.values())


def test_glia_in_the_masks_of_membranes_are_ignored(tmp_path):
    mask = Image.fromarray(np.array([[0, 128, 255]], np.uint8))
    write_pair(tmp_path, "vnc_00", Image.new("L", (3, 1), 90), mask)
    (case,) = read_cases("em_membranes", tmp_path)
    assert case.truth.tolist() == [[0, 255, 1]]
    assert case.kind == "VNC"


def test_a_name_without_a_number_is_named(tmp_path):
    picture = Image.new("L", (8, 8), 90)
    write_pair(tmp_path, "vnc", picture, picture)
    with pytest.raises(uh.TrainingError, match="vnc: there is no number in this name"):
        list(read_cases("em_membranes", tmp_path))


def test_the_first_number_of_a_name_counts():
    assert first_number("hrf_07_g2") == 7


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(uh.TrainingError, match="no images"):
        list(read_cases("nuclei", tmp_path / "nothing"))


def test_a_card_without_a_data_set_is_told_which_there_are(tmp_path):
    with pytest.raises(uh.TrainingError, match=r"no data set for 'hearts'.*lungs"):
        list(read_cases("hearts", tmp_path))


def test_a_mask_of_another_size_is_named(lungs):
    Image.new("L", (9, 9)).save(lungs / "masks" / "CHNCXR_0003_0.png")
    with pytest.raises(uh.TrainingError, match="_0003_"):
        list(read_cases("lungs", lungs))


@pytest.mark.parametrize("name", MODELS)
def test_every_card_has_a_task_or_was_trained_elsewhere_and_is_complete(name):
    card = MODELS[name]
    assert name in TASKS or card.url
    assert card.data
    assert card.licence
    assert card.citation
    assert card.limits
    assert "not diagnosis" in card.intended_use


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_named_like_its_card_and_trains_it(name):
    task = TASKS[name]
    assert task.card == name
    assert name in MODELS
    assert all(other in TASKS for other in task.unseen_by)
