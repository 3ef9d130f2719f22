"""The examples of CONTRIBUTING.md: each is added to its table, as a contributor would, and used."""

import json
import re
from dataclasses import dataclass

import numpy as np
import pytest
from helpers.networks import make_network
from helpers.places import ROOT
from PIL import Image

import unet_helpers as uh
from unet_helpers.checks import checks
from unet_helpers.images import formats
from unet_helpers.networks.cards import card_of
from unet_helpers.results import exports, metrics
from unet_helpers.shell.app import main
from unet_helpers.training.evaluate import evaluate
from unet_helpers.training.tasks import TASKS

FENCE = re.compile(r"^```(?:python|json) (\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Section:
    """The code of one section of CONTRIBUTING.md."""

    names: dict  # that its Python defines
    line: str  # of the table
    json: str


@pytest.fixture
def section(request):
    """The section whose title is the parameter, its Python executed."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (text,) = re.findall(rf"^## {request.param}\n(.*?)(?=^## |\Z)", page, re.M | re.S)

    names: dict = {"__name__": "example"}
    line = ""
    card = ""
    for mark, code in FENCE.findall(text):
        if mark == "line":
            line = code.strip()
        elif code.startswith("{"):
            card = code
        else:
            exec(compile(code, "CONTRIBUTING.md", "exec"), names)
    return Section(names=names, line=line, json=card)


@pytest.fixture
def result():
    """One square of 4 x 4 px in an image of 16 x 16 px."""
    probabilities = np.zeros((1, 16, 16), np.float32)
    probabilities[0, 4:8, 4:8] = 1
    image = uh.MedicalImage(np.zeros((16, 16), np.uint8), "YX")
    return uh.Segmentation(image, uh.MODELS["lungs"], probabilities, threshold=0.5)


@pytest.mark.parametrize("section", ["Add a format"], indirect=True)
def test_a_format(section, tmp_path, monkeypatch):
    row = eval(section.line, {"Format": formats.Format, **section.names})
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, row))

    (tmp_path / "a.pgm").write_text("P2\n3 2\n255\n0 1 2\n3 4 255\n")
    image = uh.read_image(tmp_path / "a.pgm")
    np.testing.assert_array_equal(image.pixels, [[0, 1, 2], [3, 4, 255]])
    assert "plain PGM" in formats.formats_in_markdown()


@pytest.mark.parametrize("section", ["Add an export"], indirect=True)
def test_an_export(section, result, tmp_path, monkeypatch):
    row = eval(f"{{{section.line}}}", {"Export": exports.Export, **section.names})
    for ending, export in row.items():
        monkeypatch.setitem(exports.EXPORTS, ending, export)

    path = result.export(tmp_path / "square.areas.txt")
    assert float(path.read_text()) == 16


@pytest.mark.parametrize("section", ["Add a check"], indirect=True)
@pytest.mark.parametrize(("side", "warned"), [(31, True), (32, False)])
def test_a_check(section, side, warned, monkeypatch):
    check = eval(section.line, section.names)
    monkeypatch.setattr(checks, "CHECKS", (*checks.CHECKS, check))

    pixels = np.random.default_rng(0).integers(0, 255, (64, side), np.uint8)
    result = uh.segment(pixels, make_network(), progress=False)
    assert any("at its narrowest" in warning for warning in result.warnings) == warned


@pytest.mark.parametrize("section", ["Add a metric"], indirect=True)
def test_a_metric(section, result, monkeypatch):
    row = eval(f"{{{section.line}}}", {"Metric": metrics.Metric, **section.names})
    for name, metric in row.items():
        monkeypatch.setitem(metrics.METRICS, name, metric)

    truth = np.zeros((16, 16), np.uint8)
    truth[4:8, 4:12] = 1
    assert uh.score_table(result, truth)["Area ratio"].iloc[0] == 0.5


@pytest.mark.parametrize("section", ["Add a card"], indirect=True)
def test_a_card_is_trained_for_ten_steps_and_scored(section, tmp_path, monkeypatch):
    card = card_of(json.loads(section.json))
    monkeypatch.setitem(uh.MODELS, card.name, card)
    monkeypatch.setitem(TASKS, card.name, section.names["TASK"])
    draw_discs(tmp_path / "data")

    assert main(["train", "discs", "--data", str(tmp_path / "data"), "--out", str(tmp_path)]) == 0
    network = uh.load_model(tmp_path / "discs" / "last.safetensors")
    assert network.card.classes == ("disc",)
    assert network.card.in_channels == 1

    scores = evaluate("discs", tmp_path / "data", part="test", model=network)
    assert list(scores["name"]) == ["00", "10"]
    assert scores["Dice disc"].between(0, 1).all()


def draw_discs(folder, count=12):
    """Write pictures of 64 x 64 px with a bright disc each, and their masks."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)

    for number in range(count):
        row, column = rng.uniform(16, 48, 2)
        disc = (y - row) ** 2 + (x - column) ** 2 < 10**2
        pixels = 40 + 150 * disc + rng.normal(0, 5, disc.shape)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{number:02}.png")
        Image.fromarray(disc.astype(np.uint8) * 255).save(folder / "masks" / f"{number:02}.png")
