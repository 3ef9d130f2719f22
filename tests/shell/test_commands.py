"""The other commands: models, suggest, report, export, large, finetune, train and evaluate."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from helpers.networks import make_network
from helpers.places import ROOT
from PIL import Image

import unet_helpers as uh
from unet_helpers.shell.app import main
from unet_helpers.training.tasks import TASKS
from unet_helpers.training.train import Choices

SAMPLES = ROOT / "sample_images"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with two images of squares and a network that marks nearly all of them."""
    monkeypatch.chdir(tmp_path)
    uh.save_model(make_network(), "mine.safetensors")
    for number in range(2):
        (tmp_path / "in").mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (40, 50), np.uint8)
        Image.fromarray(pixels).save(f"in/{number}.png")
    return tmp_path


def test_models_tells_about_one_network(capsys):
    assert main(["models", "lungs"]) == 0
    out = capsys.readouterr().out
    assert "Dice 0.961" in out
    assert "not diagnosis" in out


def test_models_keeps_abbreviations(capsys):
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert " FLAIR abnormality (" in out
    assert " cell nuclei (" in out


def test_suggest_prints_a_line_for_each_image(capsys, tmp_path):
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "black.png")
    images = [str(SAMPLES / "fluorescence.png"), str(tmp_path / "black.png")]
    assert main(["suggest", *images]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("fluorescence.png: nuclei  (by its pixels)")
    assert second.endswith("black.png: none")
    assert main(["suggest", str(tmp_path / "no.png")]) == 2


def test_report_writes_a_page_for_each_image_and_an_index(here, capsys):
    assert main(["report", "in", "-m", "mine.safetensors", "-o", "pages"]) == 0
    out, _ = capsys.readouterr()
    assert out.splitlines() == ["pages/0_small.html", "pages/1_small.html", "pages/index.html"]
    assert all((here / line).stat().st_size > 1000 for line in out.splitlines())

    assert main(["report", "in/0.png", "-m", "mine.safetensors", "-o", "pages"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["report", "in/0.png", "-m", "mine.safetensors", "-o", "pages", "--overwrite"]) == 0


def test_export_writes_the_formats_of_each_image_that_can_be_read(here, capsys):
    (here / "in/bad.png").write_bytes(b"nothing")
    words = ["export", "in", "-m", "mine.safetensors", "-f", "geojson", "-f", ".roi.zip"]
    assert main([*words, "-o", "out"]) == 1
    out, err = capsys.readouterr()
    assert "bad.png" in err
    assert sorted(out.splitlines()) == [
        "out/0_small.geojson",
        "out/0_small.roi.zip",
        "out/1_small.geojson",
        "out/1_small.roi.zip",
    ]
    assert json.loads((here / "out/0_small.geojson").read_text())["type"] == "FeatureCollection"
    assert zipfile.is_zipfile(here / "out/0_small.roi.zip")


def test_formats_are_added_to_results_that_were_there(here, capsys):
    words = ["in", "-m", "mine.safetensors", "-o", "out"]
    assert main(words) == 0
    assert main([*words, "-f", ".geojson"]) == 0
    assert "2 saved" in capsys.readouterr().out
    assert len(list((here / "out").glob("*.geojson"))) == 2
    assert main([*words, "-f", ".geojson"]) == 0
    assert "2 done before" in capsys.readouterr().out


def test_large_counts_and_lists_its_files(here, capsys):
    pytest.importorskip("zarr")
    cells = uh.read_image(SAMPLES / "fluorescence.png").pixels[:160, :160]
    tifffile.imwrite("slide.tif", cells, tile=(64, 64))
    assert main(["large", "slide.tif", "-m", "nuclei", "-f", ".geojson", "-o", "out"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert int(lines[0].removesuffix(" objects")) > 5
    assert "out/slide_nuclei.geojson" in lines
    assert "out/slide_nuclei.json" in lines


def test_finetune_trains_on_two_folders_and_says_how_to_use_it(here, capsys):
    for folder in ("images", "masks"):
        (here / folder).mkdir()
    for number in range(2):
        image = np.full((64, 64), 40, np.uint8)
        image[16:48, 16 + number : 48] = 200
        Image.fromarray(image).save(f"images/{number}.png")
        Image.fromarray((image > 100).astype(np.uint8)).save(f"masks/{number}_mask.png")

    words = ["finetune", "images", "masks", "--classes", "square", "--size", "64", "--steps", "10"]
    assert main([*words, "-o", "squares.safetensors"]) == 0
    out, err = capsys.readouterr()
    assert "unet-helpers IMAGE -m squares.safetensors" in out
    assert "--steps 20" in err or "warning" not in err
    network = uh.load_model("squares.safetensors")
    assert network.card.name == "squares"
    assert network.card.classes == ("square",)

    assert main([*words, "-o", "squares.safetensors"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "-o", "squares.pt"]) == 2
    assert main(["finetune", "nowhere", "masks", "-o", "a.safetensors"]) == 2
    assert "there is no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_help_lists_the_networks_that_have_a_task(name, capsys):
    assert main([name, "--help"]) == 0
    listed = capsys.readouterr().out.partition("Networks:\n")[2].splitlines()
    assert {line.split()[0] for line in listed} == set(TASKS)


def test_train_passes_its_options_on(monkeypatch):
    trained = []
    monkeypatch.setattr("unet_helpers.training.train.train", lambda *given: trained.append(given))
    words = "--start lungs --steps 3 --rate 0.5 --seed 0 --refit --without x --features 4 --half"
    assert main(["train", "chest", "--data", "in", *words.split(), "--device", "cpu"]) == 0
    assert main(["train", "chest", "--data", "in", "--out", "there"]) == 0

    choices = Choices(
        start="lungs",
        steps=3,
        rate=0.5,
        seed=0,
        refit=True,
        without="x",
        features=4,
        half=True,
        device="cpu",
    )
    assert trained == [
        ("chest", Path("in"), Path("runs"), choices),
        ("chest", Path("in"), Path("there"), Choices()),
    ]


def test_evaluate_scores_the_weights_of_a_file(here, monkeypatch, capsys):
    def evaluate(card, folder, part, model, task):
        assert (card, folder, part, task) == ("lungs", Path("in"), "all", "chest")
        score = float(model.card.name == "small")
        return pd.DataFrame([{"name": "a", "kind": "k", "group": "a", "Dice": score}])

    monkeypatch.setattr("unet_helpers.training.evaluate.evaluate", evaluate)
    words = "lungs --data in --part all --task chest --weights mine.safetensors"
    assert main(["evaluate", *words.split()]) == 0
    assert capsys.readouterr().out.split("mean")[1].split()[0] == "1.0"
