"""The program: what it loads, which commands it has, how it refuses, completes and ends."""

import subprocess
import sys

import numpy as np
import pytest
from click.shell_completion import ShellComplete
from helpers.networks import make_network
from helpers.places import ROOT
from PIL import Image

import unet_helpers as uh
from unet_helpers.shell.app import COMMANDS, app, main


@pytest.mark.parametrize(
    "words",
    [["--version"], ["models"], ["--help"], *([name, "--help"] for name in COMMANDS)],
    ids=" ".join,
)
def test_what_needs_no_network_does_not_load_torch(words):
    code = (
        "import sys; from unet_helpers.shell.app import main; "
        f"status = main({words!r}); "
        "sys.exit(status or sum(name in sys.modules for name in ('torch', 'pandas', 'skimage')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_help_lists_every_command_in_a_whole_sentence(capsys):
    assert main(["--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for name in COMMANDS:
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert line.endswith("."), line
        assert not line.endswith("..."), line


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    assert main([name, "--help"]) == 0
    assert name in capsys.readouterr().out


def completions(*words, incomplete):
    complete = ShellComplete(app, {}, "unet-helpers", "_UNET_HELPERS_COMPLETE")
    return complete.get_completions(list(words), incomplete)


def test_the_tab_key_completes_commands_networks_and_files():
    assert completions(incomplete="fin")[0].value == "finetune"
    assert completions(incomplete="my_ph")[-1].type == "file"
    assert [item.value for item in completions("x.png", "-m", incomplete="nuc")] == [
        "nuclei",
        "nuclei_he",
    ]
    assert completions("x.png", "-m", incomplete="mine.saf")[0].type == "file"
    assert "--threshold" in [item.value for item in completions("x.png", incomplete="--thr")]


def test_help_is_also_shown_by_the_word(capsys):
    for words in (["help"], ["help", "segment"]):
        assert main(words) == 0
    assert capsys.readouterr().out.count("Usage: ") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x.png", "--treshold", "0.5"], "Did you mean '--threshold'?"),
        (["segment"], "IMAGE..."),
        (["x.png", "--threshold", "high"], "--threshold"),
        (["x.png", "--spacing", "1,wide"], "'1,wide' is no number of mm"),
        (["large", "x.tif", "-m", "nuclei", "--region", "1,2"], "TOP,LEFT,HEIGHT,WIDTH"),
        (["large", "x.tif"], "-m"),
        (["models", "nucleus"], "choose one of"),
        (["export", "x.png", "-f", ".xyz"], ".geojson"),
        (["x.png", "-f", ".xyz", "-m", "nuclei"], ".geojson"),
        (["train", "nuclei"], "'--data'"),
        (["train", "nucleus", "--data", "x"], "Did you mean 'nuclei'?"),
        (["train", "nuclei", "--data", "x", "--featurs", "3"], "Did you mean '--features'?"),
        (["train", "nuclei", "--data", "x", "--rate", "high"], "--rate"),
        (["evaluate", "nucleus", "--data", "x"], "Did you mean 'nuclei'?"),
        (["evaluate", "nuclei", "--data", "x", "--part", "some"], "'validation'"),
        (["evaluate", "all", "--data", "x", "--part", "test"], "--part has no effect"),
        (["evaluate", "nuclei", "--data", "x", "--write", "a.md"], "--write has no effect"),
    ],
)
def test_wrong_words_end_in_one_line_and_status_2(words, message, capsys):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


def test_of_a_misspelt_folder_the_nearest_file_comes_before_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["image"]) == 2
    assert "Did you mean 'page'?" in capsys.readouterr().err
    (tmp_path / "images").mkdir()
    assert main(["image"]) == 2
    assert "Did you mean 'images'?" in capsys.readouterr().err


def test_a_wrong_channel_is_answered_with_the_option_of_the_shell(tmp_path, capsys):
    path = tmp_path / "colours.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    assert main([str(path), "-m", "nuclei", "--channel", "infrared"]) == 2
    assert "red, green or blue, with --channel." in capsys.readouterr().err


def test_ctrl_c_anywhere_ends_in_one_line(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("unet_helpers.inference.batch.run_folder", interrupted)
    assert main(["x.png", "-m", "lungs"]) == 130
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.strip().splitlines()[-1].startswith("stopped: ")


@pytest.fixture
def beside_a_network(tmp_path, monkeypatch):
    """A folder with mine.safetensors and x.png, which is constant: an image with a warning."""
    monkeypatch.chdir(tmp_path)
    uh.save_model(make_network(), "mine.safetensors")
    Image.fromarray(np.full((40, 50), 7, np.uint8)).save("x.png")
    return tmp_path


def test_quiet_says_warnings_and_errors_alone(beside_a_network, capsys):
    assert main(["x.png", "no.png", "-m", "mine.safetensors", "-q"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "x.png: all values are the same" in err
    assert "no.png: there is no such file" in err
    assert all("all values" in line or "error:" in line for line in err.splitlines())


def test_verbose_says_how_and_where(beside_a_network, capsys):
    assert main(["x.png", "-m", "mine.safetensors", "-v"]) == 0
    assert "zoom 1.0" in capsys.readouterr().err
    assert main(["x.png", "-m", "no.safetensors", "-v"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_short_options_and_written_files(beside_a_network, capsys):
    assert main(["x.png", "-m", "mine.safetensors", "-o", "there"]) == 0
    out = capsys.readouterr().out
    written = {str(path) for path in beside_a_network.glob("there/x_*")}
    assert len(written) == 6
    for path in written:
        assert path.removeprefix(f"{beside_a_network}/") in out
