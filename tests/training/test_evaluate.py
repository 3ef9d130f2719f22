"""Scores are those of the metrics, with intervals over groups; on folders made here."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.networks import make_network
from PIL import Image

import unet_helpers as uh
from unet_helpers.networks.cards import MODELS
from unet_helpers.shell.app import main
from unet_helpers.training import evaluate as module
from unet_helpers.training.evaluate import evaluate, summary, write_accuracy_page
from unet_helpers.training.tasks import TASKS

# Colours of a nucleus in stained tissue, and of the tissue around it.
NUCLEUS = (120, 60, 140)
TISSUE = (235, 220, 230)


@pytest.fixture
def lungs(tmp_path):
    """Twenty small X-rays of two hospitals, each with a bright square as its lung."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()

    for number in range(20):
        hospital = "MCUCXR" if number < 10 else "CHNCXR"
        name = f"{hospital}_{number:04d}_0"
        pixels = np.full((32, 32), 40, np.uint8)
        pixels[8:20, 8:20] = 200
        mask = np.where(pixels > 100, 255, 0).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.jpg", quality=100)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    return tmp_path


def write_nucleus(folder: Path, kind: str, name: str) -> None:
    """Write a stained image with one nucleus, and its ids."""
    ids = np.zeros((32, 32), np.uint16)
    ids[8:20, 8:20] = 1
    pixels = np.where(ids[..., None] > 0, NUCLEUS, TISSUE).astype(np.uint8)
    for part, values in (("images", pixels), ("labels", ids)):
        path = folder / part / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)


@pytest.fixture
def tissue(tmp_path):
    """``nuclei_he``: a field of MoNuSeg, two tiles of CoNSeP; ``nuclei``: two stained images.

    Of these the first is for the test, the second is learnt from.
    """
    for name in ("monuseg_TCGA-21-5786", "consep_train_7_000", "consep_train_7_001"):
        write_nucleus(tmp_path / "nuclei_he", "", name)
    for name in ("a", "b"):
        write_nucleus(tmp_path / "nuclei", "stained", name)
    return tmp_path


def perfect(card: str):
    """A network that answers with the image's own brightness."""
    network = make_network()
    network.card = MODELS[card]
    network.forward = lambda x: (x > 0.5).float()
    return network


def silent(card: str):
    """A network that finds nothing."""
    channels = MODELS[card].out_channels
    network = make_network(in_channels=MODELS[card].in_channels, out_channels=channels)
    network.card = MODELS[card]

    answer = [-9.0] if channels == 1 else [9.0, -9.0, -9.0]
    scores = torch.tensor(answer)[None, :, None, None]
    network.forward = lambda x: scores.expand(len(x), -1, *x.shape[2:])
    return network


def test_a_perfect_answer_scores_one(lungs):
    scores = evaluate("lungs", lungs, "test", perfect("lungs"))
    assert list(scores.columns) == ["name", "kind", "group", "Dice lung"]
    assert len(scores) == 2
    assert scores["Dice lung"].min() == 1
    assert "all (2)" in summary(scores).index.get_level_values(0)


def test_half_of_the_lung_scores_two_thirds(lungs):
    for path in (lungs / "masks").glob("*.png"):
        mask = np.asarray(Image.open(path)).copy()
        mask[:, 14:] = 0
        Image.fromarray(mask).save(path)
    scores = evaluate("lungs", lungs, "all", perfect("lungs"))
    assert len(scores) == 20
    assert scores["Dice lung"].mean() == pytest.approx(2 / 3, abs=0.02)


def table(scores, groups, kinds="x") -> pd.DataFrame:
    """Scores of cases; one letter is the kind of all of them."""
    kinds = list(kinds) if len(kinds) > 1 else kinds
    names = range(len(scores))
    return pd.DataFrame({"name": names, "kind": kinds, "group": list(groups), "Dice": scores})


def test_the_worst_error_is_the_highest_the_worst_dice_the_lowest():
    scores = table([0.9, 0.5, 0.8], "abc").assign(
        **{"error of the cardiothoracic ratio": [0.01, 0.04, 0.02]}
    )
    worst = summary(scores).loc["all (3)"].loc["worst"]
    assert worst.to_dict() == {"Dice": 0.5, "error of the cardiothoracic ratio": 0.04}


def test_the_interval_is_that_of_independent_cases():
    """Against the normal approximation: 1.96 standard errors."""
    values = np.random.default_rng(0).normal(0.8, 0.05, 400)
    column = summary(table(values, range(400))).Dice.droplevel(0)
    half = 1.96 * values.std() / 20
    expected = [values.mean() - half, values.mean() + half]
    assert [column["from"], column["to"]] == pytest.approx(expected, abs=0.0003)


def test_the_interval_is_the_same_each_time():
    values = np.random.default_rng(0).normal(0.8, 0.05, 40)
    first, second = (summary(table(values, range(40))) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_a_person_with_many_images_does_not_narrow_the_interval():
    each = np.random.default_rng(0).normal(0.8, 0.05, 20)
    alone = summary(table(each, range(20)))
    repeated = summary(table(np.repeat(each, 9), np.repeat(range(20), 9)))
    assert "all (180, groups: 20)" in repeated.index
    assert repeated.Dice.to_numpy() == pytest.approx(alone.Dice.to_numpy())


def test_one_group_has_no_interval():
    column = summary(table([0.5, 0.7, 0.9, 0.9], "aabc", "uuvv")).Dice
    assert "from" not in column["u (2, groups: 1)"]
    assert column["u (2, groups: 1)", "mean"] == pytest.approx(0.6)


def test_an_even_score_has_an_interval_of_no_width():
    column = summary(table([0.5, 0.7, 0.9, 0.9], "aabc", "uuvv")).Dice
    assert column["v (2)"][["from", "to"]].tolist() == [0.9, 0.9]


def test_all_kinds_together_come_first():
    column = summary(table([0.5, 0.7, 0.9, 0.9], "aabc", "uuvv")).Dice
    headings = list(dict.fromkeys(column.index.get_level_values(0)))
    assert headings == ["all (4, groups: 3)", "u (2, groups: 1)", "v (2)"]
    assert column["all (4, groups: 3)", "worst"] == 0.5
    assert column["all (4, groups: 3)", "median"] == 0.8


def test_of_another_cards_data_only_what_was_never_learnt_from(tissue):
    own = evaluate("nuclei_he", tissue / "nuclei_he", "all", silent("nuclei_he"))
    unseen = evaluate("nuclei", tissue / "nuclei_he", "all", silent("nuclei"), task="nuclei_he")
    assert set(own.kind) == {"monuseg", "consep", "stained"}
    assert set(unseen.kind) == {"monuseg", "consep"}
    assert unseen.group.tolist() == ["07", "07", "TCGA-21-5786"]


def test_a_part_without_images_is_said_to_be_empty(tissue):
    with pytest.raises(uh.TrainingError, match="part 'validation'"):
        evaluate("nuclei", tissue / "nuclei", "validation", silent("nuclei"))


@pytest.fixture
def page(lungs, tissue, monkeypatch) -> dict[str, str]:
    """The sections of the page, by title, with the data of three cards; its start under ''."""
    data = tissue
    (data / "lungs").mkdir()
    for part in ("images", "masks"):
        (data / part).rename(data / "lungs" / part)

    monkeypatch.setattr(module, "load_model", silent)
    write_accuracy_page(data, data / "page.md")
    start, *sections = re.split(r"\n## ", (data / "page.md").read_text())
    return {"": start} | {section.partition("\n")[0]: section for section in sections}


def test_the_page_has_each_card_and_each_data_set_never_seen(page):
    expected = []
    for task in TASKS.values():
        expected.append(f"`{task.card}` on other {task.unit} of sources it learnt from")
        expected.extend(f"`{card}` on `{task.card}`: never seen" for card in task.unseen_by)
    assert list(page)[1:] == expected


def test_the_page_says_how_it_was_made(page):
    assert f"version {uh.__version__}" in page[""]
    assert not any("{{" in section for section in page.values())


def test_the_page_says_what_is_missing(page, capsys):
    section = page["`retinal_vessels` on other eyes of sources it learnt from"]
    assert "Not measured" in section
    assert "no images of 'retinal_vessels'" in section


def test_what_is_missing_is_printed(tmp_path, capsys):
    write_accuracy_page(tmp_path, tmp_path / "page.md")
    assert "retinal_vessels: not measured" in capsys.readouterr().out


def test_the_page_has_a_row_for_each_kind_and_metric(page):
    own = page["`nuclei_he` on other fields of sources it learnt from"]
    assert "| consep (2, groups: 1) | Dice | 0.000 | - | 0.000 | 0.000 |" in own
    nuclei = page["`nuclei` on other images of sources it learnt from"]
    assert "| all (1) | mean AP | 0.000 | - |" in nuclei
    chests = page["`lungs` on other patients of sources it learnt from"]
    assert "| MCUCXR (1) | Dice lung | 0.000 | - | 0.000 | 0.000 |" in chests
    assert "| all (2) | Dice lung | 0.000 | 0.000 to 0.000 | 0.000 | 0.000 |" in chests


def test_data_never_seen_are_evaluated_as_a_whole(page):
    section = page["`nuclei` on `nuclei_he`: never seen"]
    assert "--task nuclei_he --part all" in section
    assert "| consep (2, groups: 1) |" in section


def test_the_commands_of_the_page_print_its_figures(lungs, monkeypatch, capsys):
    monkeypatch.setattr(module, "load_model", perfect)
    (lungs / "lungs").symlink_to(lungs)
    assert main(["evaluate", "all", "--data", str(lungs), "--write", str(lungs / "page.md")]) == 0
    page = (lungs / "page.md").read_text()
    assert "| all (2) | Dice lung | 1.000 | 1.000 to 1.000 | 1.000 | 1.000 |" in page

    commands = re.findall("^`python -m unet_helpers evaluate (.+)`$", page, re.MULTILINE)
    (command,) = [command for command in commands if command.startswith("lungs ")]
    capsys.readouterr()
    assert main(["evaluate", *command.replace("DIR", str(lungs)).split()]) == 0
    assert re.search(r"all \(2\) +mean +1\.0\n", capsys.readouterr().out)
