"""Data sets are split by patient, child or block; scores are those of the metrics; both on folders made here."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.networks import make_network
from PIL import Image

import unet_helpers as uh
from unet_helpers.networks.cards import MODELS
from unet_helpers.training import evaluate as module
from unet_helpers.training.evaluate import evaluate, main, summary
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
        Image.fromarray(((pixels > 100) * 255).astype(np.uint8)).save(
            tmp_path / f"masks/{name}.png"
        )
    return tmp_path


def perfect(card: str):
    """A network that answers with the image's own brightness."""
    network = make_network()
    network.card = MODELS[card]
    network.forward = lambda x: (x > 0.5).float()
    return network


def test_a_perfect_answer_scores_one(lungs):
    scores = evaluate("lungs", lungs, "test", perfect("lungs"))
    assert len(scores) == 2
    assert scores["Dice lung"].min() == 1
    assert "all (2)" in summary(scores).index.get_level_values(0)


def test_half_of_the_lung_scores_two_thirds(lungs):
    for path in (lungs / "masks").glob("*.png"):
        mask = np.asarray(Image.open(path)).copy()
        mask[:, 14:] = 0
        Image.fromarray(mask).save(path)
    assert evaluate("lungs", lungs, "all", perfect("lungs"))["Dice lung"].mean() == pytest.approx(
        2 / 3, abs=0.02
    )


def test_parts_do_not_overlap(lungs):
    parts = {case.name: case.part for case in read_cases("lungs", lungs)}
    assert sorted(parts.values()).count("train") == 16
    assert set(parts.values()) == {
        "train",
        "validation",
        "test",
    }


def test_a_patient_is_in_one_part_only(tmp_path):
    """CHASE has two eyes a child: both go to the same part."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for child in range(1, 11):
        for eye in "LR":
            Image.new("RGB", (8, 8), (90, 60, 20)).save(
                tmp_path / f"images/chase_{child:02d}{eye}.jpg"
            )
            Image.new("L", (8, 8)).save(tmp_path / f"masks/chase_{child:02d}{eye}.png")
    parts = {}
    for case in read_cases("retinal_vessels", tmp_path):
        parts.setdefault(case.name[:-1], set()).add(case.part)
    assert len(parts) == 10
    assert all(len(p) == 1 for p in parts.values())


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
        assert card.data
        assert card.licence
        assert card.citation
        assert card.limits
        assert "not diagnosis" in card.intended_use
        assert len(card.classes) == len(card.colors)


def frame(scores, groups, kinds="x"):
    kinds = list(kinds) if len(kinds) > 1 else kinds
    return pd.DataFrame(
        {"name": range(len(scores)), "kind": kinds, "group": list(groups), "Dice": scores}
    )


def test_the_interval_is_that_of_independent_cases():
    """Against the normal approximation: 1.96 standard errors."""
    values = np.random.default_rng(0).normal(0.8, 0.05, 400)
    found = summary(frame(values, range(400))).Dice.droplevel(0)
    half = 1.96 * values.std() / 20
    assert [found["from"], found["to"]] == pytest.approx(
        [values.mean() - half, values.mean() + half], abs=0.0003
    )
    assert found["from"] == summary(frame(values, range(400))).Dice.droplevel(0)["from"]  # seeded


def test_a_person_with_many_images_does_not_narrow_the_interval():
    each = np.random.default_rng(0).normal(0.8, 0.05, 20)
    alone, repeated = (
        summary(frame(each, range(20))),
        summary(frame(np.repeat(each, 9), np.repeat(range(20), 9))),
    )
    assert "all (180, groups: 20)" in repeated.index
    assert repeated.Dice.to_numpy() == pytest.approx(alone.Dice.to_numpy())


def test_one_group_has_no_interval_and_an_even_score_one_of_no_width():
    found = summary(frame([0.5, 0.7, 0.9, 0.9], "aabc", "uuvv")).Dice
    assert "from" not in found["u (2, groups: 1)"]
    assert found["u (2, groups: 1)", "mean"] == pytest.approx(0.6)
    assert found["v (2)"][["from", "to"]].tolist() == [0.9, 0.9]
    assert found["all (4, groups: 3)", "min"] == 0.5


@pytest.fixture
def tissue(tmp_path):
    """``nuclei_he``: a field of MoNuSeg, two tiles of CoNSeP; ``nuclei``: an image for the test, one to learn from."""
    labels = np.zeros((32, 32), np.uint16)
    labels[8:20, 8:20] = 1
    fields = ["monuseg_TCGA-21-5786", "consep_train_7_000", "consep_train_7_001"]
    for folder, kind, names in (("nuclei_he", "", fields), ("nuclei", "stained", ["a", "b"])):
        for name in names:
            image, truth = (
                tmp_path / folder / part / kind / f"{name}.png" for part in ("images", "labels")
            )
            image.parent.mkdir(parents=True, exist_ok=True)
            truth.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(
                np.where(labels[..., None] > 0, [120, 60, 140], [235, 220, 230]).astype(np.uint8)
            ).save(image)
            Image.fromarray(labels).save(truth)
    return tmp_path


def silent(card: str):
    """A network that finds nothing."""
    network = make_network(
        in_channels=MODELS[card].in_channels, out_channels=MODELS[card].out_channels
    )
    network.card = MODELS[card]
    scores = torch.tensor([-9.0] if network.card.out_channels == 1 else [9.0, -9.0, -9.0])[
        None, :, None, None
    ]
    network.forward = lambda x: scores.expand(len(x), -1, *x.shape[2:])
    return network


def test_of_another_cards_data_only_what_was_never_learnt_from(tissue):
    own = evaluate("nuclei_he", tissue / "nuclei_he", "all", silent("nuclei_he"))
    unseen = evaluate("nuclei", tissue / "nuclei_he", "all", silent("nuclei"), task="nuclei_he")
    assert set(own.kind) == {"monuseg", "consep", "stained"}
    assert set(unseen.kind) == {
        "monuseg",
        "consep",
    }
    assert unseen.group.tolist() == ["07", "07", "TCGA-21-5786"]


def test_the_page_has_every_card_and_says_what_is_missing(lungs, tissue, monkeypatch, capsys):
    data = tissue
    (data / "lungs").mkdir()
    for part in ("images", "masks"):
        (data / part).rename(data / "lungs" / part)
    monkeypatch.setattr(module, "load_model", silent)
    main(["all", "--data", str(data), "--write", str(data / "page.md")])
    page = (data / "page.md").read_text()
    assert f"version {uh.__version__}" in page
    assert "{{" not in page
    sections = re.split(r"\n## ", page)[1:]
    assert [s.split("`")[1] for s in sections] == [
        *(
            "retinal_vessels",
            "nuclei",
            "nuclei_he",
            "nuclei",
            "em_membranes",
            "lungs",
            "brain_flair",
            "hippocampus",
        )
    ]
    eyes, nuclei, tissues, unseen, _, chests, *_ = sections
    assert "Not measured" in eyes
    assert "no images of 'retinal_vessels'" in eyes
    assert "| all (1) | mean AP | 0.000 | - |" in nuclei
    assert "never seen" in unseen
    assert "--task nuclei_he --part all" in unseen
    assert "| consep (2, groups: 1) |" in unseen
    assert "never seen" not in tissues
    assert "| consep (2, groups: 1) | Dice | 0.000 | - | 0.000 | 0.000 |" in tissues
    assert "other patients" in chests
    assert "| MCUCXR (1) | Dice lung | 0.000 | - | 0.000 | 0.000 |" in chests
    assert "| all (2) | Dice lung | 0.000 | 0.000 to 0.000 | 0.000 | 0.000 |" in chests
    assert "retinal_vessels: not measured" in capsys.readouterr().out


def test_the_commands_of_the_page_print_its_figures(lungs, monkeypatch, capsys):
    monkeypatch.setattr(module, "load_model", perfect)
    (lungs / "lungs").symlink_to(lungs)
    main(["all", "--data", str(lungs), "--write", str(lungs / "page.md")])
    page = (lungs / "page.md").read_text()
    for command in re.findall("^`python -m unet_helpers evaluate (.+)`$", page, re.M):
        if "lungs" in command:
            capsys.readouterr()
            main(command.replace("DIR", str(lungs)).split())
            assert re.search(r"all \(2\) +mean +1\.0\n", capsys.readouterr().out)
    assert "| all (2) | Dice lung | 1.000 | 1.000 to 1.000 | 1.000 | 1.000 |" in page


def test_a_part_without_images_is_said_to_be_empty(tissue):
    with pytest.raises(uh.TrainingError, match="part 'validation'"):
        evaluate("nuclei", tissue / "nuclei", "validation", silent("nuclei"))
