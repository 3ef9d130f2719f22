"""What images of a card look like can be fitted with the data of that card alone."""

import importlib.util
import json
import sys
from types import ModuleType

import cv2
import numpy as np
import pytest
from helpers.places import ROOT

from unet_helpers.checks.likeness import STATISTICS_FILE, Group, Likeness, group_of

BENCHMARKS = ROOT / "tests" / "benchmarks"


@pytest.fixture(scope="module")
def fit_ood() -> ModuleType:
    """The script, which imports others of its folder."""
    sys.path.insert(0, str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("fit_ood", BENCHMARKS / "fit_ood.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(BENCHMARKS))
    return module


@pytest.fixture
def lungs(tmp_path):
    """A folder with twenty X-rays of noise, each with a bright square as its lung."""
    rng = np.random.default_rng(0)
    for number in range(20):
        pixels = rng.normal(60, 10, (96, 96))
        pixels[20:70, 20:70] += 100
        mask = np.zeros((96, 96), np.uint8)
        mask[20:70, 20:70] = 255
        for part, values in (("images", pixels.clip(0, 255)), ("masks", mask)):
            folder = tmp_path / "lungs" / part
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"CHNCXR_{number:02}.png"), values)
    return tmp_path


def test_written_anew_the_shipped_file_is_the_same_byte_for_byte(fit_ood):
    text = STATISTICS_FILE.read_text("utf-8")
    groups = {name: group_of(fields) for name, fields in json.loads(text).items()}
    stored = {name: fit_ood.as_json(group) for name, group in groups.items()}
    assert fit_ood.in_file_form(stored) == text


def test_a_card_is_fitted_alone_and_others_stay(fit_ood, lungs, capsys):
    out = lungs / "statistics.json"
    fit_ood.main(["lungs", "--data", str(lungs), "--out", str(out)])

    shipped = json.loads(STATISTICS_FILE.read_text("utf-8"))
    fitted = json.loads(out.read_text("utf-8"))
    assert list(fitted) == list(shipped)
    changed = {name for name in shipped if fitted[name] != shipped[name]}
    mistakes = {name for name, mistake in fit_ood.MISTAKES.items() if mistake.card == "lungs"}
    assert changed == {"lungs", *mistakes}

    printed = capsys.readouterr().out
    assert "Without the data of brain_flair, chest, dic_cells, em_membranes" in printed
    assert "photographs of other things are told from the images as they were before" in printed
    assert "test part, as it is" in printed


def test_photographs_are_learnt_from_where_there_are_any(fit_ood, lungs):
    rng = np.random.default_rng(1)
    for part in ("train", "validation", "test"):
        folder = lungs / "photographs" / part
        folder.mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 255, (64, 64, 3), np.uint8)
            cv2.imwrite(str(folder / f"{number}.png"), pixels)

    out = lungs / "statistics.json"
    fit_ood.main(["lungs", "--data", str(lungs), "--out", str(out)])
    shipped = json.loads(STATISTICS_FILE.read_text("utf-8"))
    fitted = json.loads(out.read_text("utf-8"))
    assert fitted["photographs, lungs"] != shipped["photographs, lungs"]
    assert fitted["photographs, nuclei"] == shipped["photographs, nuclei"]


def test_a_card_without_its_data_is_refused_in_words(fit_ood, lungs):
    with pytest.raises(SystemExit, match="there is no folder nuclei"):
        fit_ood.main(["nuclei", "--data", str(lungs)])


def test_a_card_without_photographs_has_a_score(fit_ood):
    """Twice as far as its limit, and as far as its limit from others, it is out of distribution."""
    groups = {
        name: Group(view=name, description="", limit=1.0, room=9.0, clusters=())
        for name in ("lungs", "nuclei")
    }
    likeness = Likeness({"lungs": 2.0, "nuclei": 1.0}, groups)
    assert likeness.score("lungs") == 2
