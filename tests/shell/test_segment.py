"""The command that segments: what it tells, what it refuses, and its exit status."""

import io
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from helpers.files import named
from helpers.networks import make_network
from helpers.places import ROOT
from PIL import Image

import unet_helpers as uh
from unet_helpers.inference.folder_job import FolderJob
from unet_helpers.shell.app import main


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command beside a network's file: its status, standard output and standard error."""
    uh.save_model(make_network(), tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)

    def run(*arguments, model="mine.safetensors"):
        status = main([*map(str, arguments), "--model", model])
        return status, *capsys.readouterr()

    return run


def draw(path, low=0, seed=0):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(low, 255, (40, 50), np.uint8)).save(path)


def test_notes_and_warnings_come_before_the_network_runs(run, monkeypatch, capsys):
    Image.fromarray(np.full((40, 50), 7, np.uint8)).save("flat.png")
    seen = []

    def predict(*_, **__):
        seen.append(capsys.readouterr().err)

    monkeypatch.setattr("unet_helpers.inference.stack_prediction.predict", predict)
    run("flat.png")
    assert "flat.png: all values are the same" in seen[0]


def test_each_note_and_warning_is_said_once(run):
    Image.fromarray(np.full((40, 50, 4), 7, np.uint8)).save("flat.png")
    _, out, err = run("flat.png")
    assert err.count("alpha channel") == err.count("all values are the same") == 1
    assert "flat.png" in out


def test_json_is_all_that_is_on_stdout(run):
    draw("x.png")
    (row,) = json.loads(run("x.png", "--json")[1])
    assert row["status"] == "saved"
    assert Path(row["result"]).exists()
    assert row["objects"] >= 0


def test_strict_makes_a_warning_a_failure(run):
    Image.fromarray(np.full((40, 50), 7, np.uint8)).save("flat.png")
    status, _, err = run("flat.png")
    assert status == 0
    assert "all values are the same" in err
    assert run("flat.png", "--overwrite", "--strict")[0] == 1
    draw("fine.png")
    warned = bool(uh.segment("fine.png", "mine.safetensors", progress=False).warnings)
    assert run("fine.png", "--strict")[0] == int(warned)


def test_a_folder_gets_one_summary_and_equal_names_are_kept(run):
    for name in ("A1/dapi.png", "A2/dapi.png", "a.png", "a.bmp"):
        draw(f"in/{name}")
    Path("in/bad.png").write_bytes(b"nothing")
    status, out, err = run("in", "--out", "out")
    assert status == 1
    assert "error: " in err
    assert "bad.png" in err
    table = pd.read_csv("out/summary.csv")
    assert sorted(table.status) == ["failed", "saved", "saved", "saved", "saved"]
    assert table.result[table.status == "saved"].map(os.path.exists).all()
    assert table.result.is_unique
    assert all(name in out for name in ("dapi.png", "a.bmp", "bad.png", "summary.csv", "objects"))
    status, out, err = run("in", "--out", "out")  # goes on where it stopped
    assert status == 1
    assert "4 done before" in out
    assert "2 done before" not in out


def test_two_files_of_one_name(run):
    for name in ("A1/dapi.png", "A2/dapi.png"):
        draw(name, seed=len(name))
    assert run("A1/dapi.png", "A2/dapi.png", "--overwrite")[0] == 0
    assert len(list(Path("results").rglob("dapi_small.json"))) == 2


def test_a_result_that_is_there_is_done_before(run, monkeypatch):
    draw("x.png")
    assert run("x.png")[0] == 0
    monkeypatch.setattr(
        "unet_helpers.inference.stack_prediction.predict", lambda *_, **__: pytest.fail("computed")
    )
    status, out, err = run("x.png")
    assert status == 0
    assert "1 done before" in out
    assert "--overwrite does it again" in err


def test_the_lines_of_the_readme_in_order_and_twice(run, capsys):
    """In Python, in a shell, and both again: nothing is computed twice, and nothing fails."""
    draw("x.png")
    for _ in range(2):
        paths = uh.segment("x.png", "mine.safetensors", progress=False).save("results")
        assert all(path.exists() for path in paths.values())
        status, out, _ = run("x.png", "--out", "results")
        assert status == 0
        assert "1 done before" in out
    made = paths["labels"].stat().st_mtime_ns
    uh.segment("x.png", "mine.safetensors", progress=False).save("results")
    assert paths["labels"].stat().st_mtime_ns == made
    assert "already holds this result" in capsys.readouterr().out


def test_other_settings_are_named_with_their_difference(run, monkeypatch):
    draw("x.png")
    assert run("x.png", "--threshold", "0.5")[0] == 0
    monkeypatch.setattr(
        "unet_helpers.inference.stack_prediction.predict", lambda *_, **__: pytest.fail("computed")
    )
    status, _, err = run("x.png", "--threshold", "0.25", "--zoom", "2")
    assert status == 2
    assert "threshold 0.5, now 0.25; zoom not given, now 2.0" in err
    assert "--overwrite replaces it" in err
    assert "overwrite=True" not in err


def test_options_of_the_reader_arrive(run):
    random = np.random.default_rng(0)
    tifffile.imwrite(
        "c.ome.tif",
        random.integers(0, 255, (3, 40, 50), np.uint8),
        ome=True,
        photometric="minisblack",
        metadata={"axes": "CYX"},
    )
    assert run("c.ome.tif", "--channel", "2", "--spacing", "0.001")[0] == 0
    saved = uh.read_image("c.ome.tif", channel=2)
    expected = uh.segment(saved, "mine.safetensors", progress=False)
    np.testing.assert_array_equal(
        uh.read_image("results/c_small_labels.ome.tif").pixels, expected.labels
    )
    assert "area" in Path("results/c_small_measurements.csv").read_text().splitlines()[0]
    status, _, err = run("c.ome.tif", "--channel", "7", "--overwrite")
    assert status == 2
    assert "error: " in err
    status, _, err = run("c.ome.tif", "--spacing", "-1", "--overwrite")
    assert status == 2
    assert "spacing" in err


@pytest.mark.parametrize(
    ("id", "option", "value"),
    [
        ("ome time", "frame", 1),
        ("tiff page 3", "page", 3),
        ("nifti 4D", "volume", 1),
        ("gif frames", "frame", 2),
        ("dicom series", "series", "1.2.3"),
        ("dicom series", "select", "SeriesInstanceUID=1.2.3"),
    ],
)
def test_each_choice_of_the_reader_is_an_option(id, option, value, run, tmp_path):
    case = named(id)
    case.write(tmp_path / case.name)
    assert run(case.name, f"--{option}", value)[0] == 0
    (saved,) = Path("results").rglob("*_labels.*")
    expected = uh.segment(case.name, "mine.safetensors", progress=False, **{option: value})
    np.testing.assert_array_equal(
        np.squeeze(uh.read_image(saved).pixels).T
        if option in ("series", "select")
        else uh.read_image(saved).pixels,
        expected.labels,
    )


def test_home_and_patterns_are_expanded(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    draw("x1.png"), draw("x2.png")
    assert run("~/x1.png", model="~/mine.safetensors")[0] == 0
    assert run("x*.png", "--out", "~/there")[0] == 0
    assert len(list((tmp_path / "there").glob("*.json"))) == 2
    status, _, err = run("y*.png")
    assert status == 2
    assert "pattern" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.png", "--threshold", "2"], "--threshold 2.0 is no probability"),
        (["x.png", "--flips", "3"], "--flips 3"),
        (["xx.png"], "Did you mean 'x.png'"),
        (["x.png", "--threshold", "0.5", "--zoom", "-1"], "--zoom -1"),
    ],
)
def test_mistakes_are_named(arguments, words, run):
    draw("x.png")
    status, _, err = run(*arguments)
    assert status == 2
    assert words in err
    assert "Traceback" not in err


def office(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr("word/document.xml", "<document/>")


def cut_zip(path):
    np.savez(whole := io.BytesIO(), image=np.eye(40))
    path.write_bytes(whole.getvalue()[:300])


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("a.docx", office, "Office document"),
        ("a.pdf", lambda path: path.write_bytes(b"%PDF-1.7 ..."), "PDF document"),
        (
            "a.doc",
            lambda path: path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600)),
            "old Office",
        ),
        ("a.npz", cut_zip, "zip archive"),
        ("a.zip", lambda path: path.write_bytes(b"PK\5\6" + bytes(18)), "zip archive"),
    ],
)
def test_what_is_no_image_is_named_as_what_it_is(name, write, words, run, tmp_path):
    write(tmp_path / name)
    status, _, err = run(name)
    assert status == 2
    assert words in err
    assert name in err
    assert "BadZipFile" not in err


def test_an_empty_answer_advises_only_what_can_help():
    image = np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)
    for scale, zooms in (("native", True), ("square", False)):
        result = uh.segment(
            image, make_network(scale=scale, size=32), threshold=1.0, progress=False
        )
        result = replace(result, warnings=(), probabilities=result.probabilities * 0.3)
        assert ("zoom" in result.explain()) == zooms
        assert (
            "would show something" not in result.explain()
        )  # at a threshold far below the card's, noise is shown
        assert "would show something" in replace(result, threshold=0.35).explain()
        strange = replace(result, warnings=("unlike",), threshold=0.35).explain()
        assert "not what small knows" in strange
        assert "zoom" not in strange
        assert "would show" not in strange


def test_options_that_an_image_cannot_have_are_refused_by_segment():
    with pytest.raises(uh.ArgumentError, match="chanel"):
        uh.segment(np.eye(40, dtype=np.uint8), make_network(), chanel=1)


@pytest.mark.parametrize("name", ["NUCLEI", "Nuclei", "Nuclie"])
def test_capital_letters_are_no_other_network(name, run):
    draw("x.png")
    assert "Did you mean 'nuclei'?" in run("x.png", model=name)[2]


def test_the_axes_of_an_array_are_named_in_the_shell(run):
    np.save("five.npy", np.random.default_rng(0).integers(0, 255, (5, 40, 50), np.uint8))
    _, _, err = run("five.npy", "--channel", "2")
    assert "--axes CYX" in err
    status, _, _ = run("five.npy", "--channel", "2", "--axes", "CYX")
    assert status == 0


def test_a_misspelt_model(run):
    draw("x.png")
    status, _, err = run("x.png", model="nucleii")
    assert status == 2
    assert "Did you mean 'nuclei'?" in err
    status, _, err = run("x.png", model="mein.safetensors")
    assert status == 2
    assert "Did you mean 'mine.safetensors'?" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--version"], uh.__version__),
        (["--help"], "segment"),
        (["-h"], "130"),
        ([], "finetune"),
        (["x.png", "--help"], "retinal_vessels"),
        (["train", "--help"], "--data"),
    ],
)
def test_version_and_help(arguments, words, capsys):
    assert main(arguments) == 0
    assert words in capsys.readouterr().out


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_named(run):
    draw("x.png")
    status, _, err = run("x.png", "--scheduler", "tcp://127.0.0.1:9")
    assert status == 2
    assert "--scheduler tcp://127.0.0.1:9" in err
    assert "Traceback" not in err


def test_without_a_model_the_one_that_fits_the_image_is_taken_and_said(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("no image")
    Image.open(ROOT / "sample_images/ihc.png").crop((0, 0, 128, 128)).save("in/b.png")
    assert main(["in", "--flips", "1"]) == 0
    out, err = capsys.readouterr()
    assert "b.png: no network was named: nuclei_he knows images like this one" in err
    assert "1 saved" in out
    assert (tmp_path / "results/b_nuclei_he.json").exists()


def test_without_a_model_the_page_that_is_asked_for_is_looked_at(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    stripes = np.tile(np.arange(0, 256, 2, np.uint8), (128, 1))
    cells = np.asarray(Image.open(ROOT / "sample_images/fluorescence.png"))[100:228, 100:228]
    tifffile.imwrite("two.tif", np.stack([stripes, cells]), photometric="minisblack")
    assert main(["two.tif", "--page", "1", "--flips", "1"]) == 0
    assert "no network was named: nuclei knows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.png", "no such file"),
        ("empty", "nothing in this folder"),
        ("stripes.png", "like no"),
    ],
)
def test_without_a_model_what_fits_none_is_refused(name, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    Image.fromarray(np.tile(np.arange(0, 250, 10, np.uint8), (300, 12))).save("stripes.png")
    assert main([name]) == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "results").rglob("*.json"))


def test_without_a_model_each_file_of_a_folder_gets_its_own_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    tissue = Image.open(ROOT / "sample_images/he.jpg").crop((0, 0, 200, 200))
    tissue.save("in/a.png")
    cells = np.asarray(Image.open(ROOT / "sample_images/fluorescence.png"))[100:300, 100:300]
    tifffile.imwrite("in/b.tif", cells, photometric="minisblack")

    assert main(["in", "--flips", "1"]) == 0
    _, err = capsys.readouterr()
    assert "a.png: no network was named: nuclei_he" in err
    assert "b.tif: no network was named: nuclei " in err
    table = pd.read_csv("results/summary.csv")
    assert list(table["status"]) == ["saved", "saved"]
    assert (table["objects"] > 5).all()
    assert sorted(path.name for path in Path("results").glob("*.json")) == [
        "a_nuclei_he.json",
        "b_nuclei.json",
    ]

    assert main(["in", "--flips", "1"]) == 0
    assert "2 done before" in capsys.readouterr().out
    assert main(["in/b.tif", "--flips", "1", "--model", "nuclei"]) == 0
    assert "1 done before" in capsys.readouterr().out


@pytest.mark.parametrize("letter", ["a", "ä", "界", "𝔐"])
def test_a_name_of_240_bytes_is_saved_under_a_shorter_one(letter, run):
    length = 236 // len(letter.encode())
    for last in "12":
        draw(f"{letter * length}.png", seed=int(last))
        os.rename(f"{letter * length}.png", f"{letter * (length - 1)}{last}.png")
    status, out, _ = run(".", "--out", "out")
    assert status == 0
    assert "2 saved" in out
    assert len(list(Path("out").rglob("*_labels.png"))) == 2
    assert "2 done before" in run(".", "--out", "out")[1]


def test_the_summary_opens_in_excel_with_its_letters(run):
    draw("Zählung µm.png")
    assert run("Zählung µm.png")[0] == 0
    assert run("Zählung µm.png")[0] == 0
    stored = Path("results/summary.csv").read_bytes()
    assert stored.startswith("\ufeffinput".encode())
    assert "Zählung µm.png" in pd.read_csv("results/summary.csv").input[0]


@pytest.mark.parametrize("folder", ["x.png/out", "/proc/results"])
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(folder, run, monkeypatch):
    draw("x.png")
    monkeypatch.setattr(
        "unet_helpers.inference.stack_prediction.predict", lambda *_, **__: pytest.fail("computed")
    )
    status, _, err = run("x.png", "--out", folder)
    assert status == 2
    assert f"{folder}: nothing can be saved there" in err
    assert len(err.splitlines()) == 1


def test_ctrl_c_ends_in_one_line_and_keeps_what_is_saved(run, monkeypatch):
    for name in ("a.png", "b.png"):
        draw(f"in/{name}")
    done = []

    def stop_at_the_second(job, source):
        done.append(source)
        if len(done) == 2:
            raise KeyboardInterrupt
        return run_job(job, source)

    run_job = FolderJob.run
    monkeypatch.setattr(FolderJob, "run", stop_at_the_second)
    status, _, err = run("in")
    assert status == 130
    assert err.splitlines()[-1] == (
        "stopped: what is saved is kept, and the same command goes on from there."
    )
    assert "Traceback" not in err
    assert list(pd.read_csv("results/summary.csv").status) == ["saved", "not done"]


def test_the_networks_are_listed(capsys):
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(uh.MODELS)


@pytest.mark.parametrize(
    "word", ["trian", "modles", "evalute", "segmnet", "fine-tune", "fine_tune", "Models"]
)
def test_a_misspelt_command_is_named(word, run, capsys):
    assert main([word, "nuclei"]) == 2
    err = capsys.readouterr().err
    right = {
        **{"trian": "train", "modles": "models", "evalute": "evaluate", "segmnet": "segment"},
        **{"fine-tune": "finetune", "fine_tune": "finetune", "Models": "models"},
    }
    assert f"Did you mean '{right[word]}'?" in err
    assert len(err.splitlines()) == 1


def test_segment_may_be_named(run, capsys):
    draw("x.png")
    assert main(["segment", "x.png", "--model", "mine.safetensors"]) == 0
    capsys.readouterr()
    assert main(["segment", "--help"]) == 0
    assert "--threshold" in capsys.readouterr().out


def test_advice_is_in_the_words_of_the_shell(run):
    stack = np.random.default_rng(0).integers(0, 255, (3, 40, 50), np.uint8)
    tifffile.imwrite("c.ome.tif", stack, ome=True, metadata={"axes": "CYX"})
    _, _, err = run("c.ome.tif")
    assert "choose another one with --channel" in err
    assert "channel=" not in err
