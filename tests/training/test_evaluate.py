"""Data sets are split by patient, child or block; scores are those of the metrics; both on folders made here."""

import numpy as np
import pytest
from helpers.networks import make_network
from PIL import Image

import unet_helpers as uh
from unet_helpers.networks.cards import MODELS
from unet_helpers.training.evaluate import evaluate, summary
from unet_helpers.training.tasks import TASKS, read_cases


@pytest.fixture
def lungs(tmp_path):
    """Twenty small X-rays of two hospitals, each with a bright square as its lung."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for i in range(20):
        pixels = np.full((32, 32), 40, np.uint8)
        pixels[8:20, 8:20] = 200
        name = f"{'MCUCXR' if i < 10 else 'CHNCXR'}_{i:04d}_0"
        Image.fromarray(pixels).save(tmp_path / f"images/{name}.jpg", quality=100)
        Image.fromarray(((pixels > 100) * 255).astype(np.uint8)).save(tmp_path / f"masks/{name}.png")
    return tmp_path


def perfect(card: str):
    """A network that answers with the image's own brightness."""
    network = make_network()
    network.card = MODELS[card]
    network.forward = lambda x: (x > 0.5).float()
    return network


def test_a_perfect_answer_scores_one(lungs):
    scores = evaluate("lungs", lungs, "test", perfect("lungs"))
    assert len(scores) == 2 and scores["Dice lung"].min() == 1
    assert "all (2)" in summary(scores).index.get_level_values(0)


def test_half_of_the_lung_scores_two_thirds(lungs):
    for path in (lungs / "masks").glob("*.png"):
        mask = np.asarray(Image.open(path)).copy()
        mask[:, 14:] = 0
        Image.fromarray(mask).save(path)
    assert evaluate("lungs", lungs, "all", perfect("lungs"))["Dice lung"].mean() == pytest.approx(2 / 3, abs=0.02)


def test_parts_do_not_overlap(lungs):
    parts = {case.name: case.part for case in read_cases("lungs", lungs)}
    assert sorted(parts.values()).count("train") == 16 and set(parts.values()) == {"train", "validation", "test"}


def test_a_patient_is_in_one_part_only(tmp_path):
    """CHASE has two eyes a child: both go to the same part."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for child in range(1, 11):
        for eye in "LR":
            Image.new("RGB", (8, 8), (90, 60, 20)).save(tmp_path / f"images/chase_{child:02d}{eye}.jpg")
            Image.new("L", (8, 8)).save(tmp_path / f"masks/chase_{child:02d}{eye}.png")
    parts = {}
    for case in read_cases("retinal_vessels", tmp_path):
        parts.setdefault(case.name[:-1], set()).add(case.part)
    assert len(parts) == 10 and all(len(p) == 1 for p in parts.values())


def test_wrong_folders_and_sizes_are_named(lungs, tmp_path):
    with pytest.raises(uh.TrainingError, match="no images"):
        list(read_cases("nuclei", tmp_path / "nothing"))
    with pytest.raises(uh.TrainingError, match="no data set"):
        list(read_cases("hearts", lungs))
    Image.new("L", (9, 9)).save(next((lungs / "masks").glob("*_0003_*")))
    with pytest.raises(uh.TrainingError, match="_0003_"):
        list(read_cases("lungs", lungs))


def test_every_trained_card_has_a_reader_and_is_complete():
    for name, card in MODELS.items():
        assert name in TASKS or card.url, name
        assert card.data and card.licence and card.citation and card.limits and "not diagnosis" in card.intended_use
        assert len(card.classes) == len(card.colors)
