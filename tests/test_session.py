"""Files into and out of a notebook, and figures that say what they show."""

import sys
import zipfile
from io import BytesIO
from types import ModuleType

import matplotlib.pyplot as plt
import pytest
from PIL import Image

import unet_helpers as uh
from unet_helpers.session import described_jpeg, titles_of


@pytest.fixture
def colab(monkeypatch) -> dict[str, list]:
    """A stand-in for Colab's own module; gives what the browser downloaded."""
    downloads: dict[str, list] = {"paths": []}
    files = ModuleType("google.colab.files")
    files.upload = lambda: {"C:/photos/cells.png": b"cells", "retina.jpg": b"retina"}
    files.download = downloads["paths"].append
    package = ModuleType("google.colab")
    package.files = files
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setitem(sys.modules, "google.colab.files", files)
    return downloads


@pytest.fixture
def figure() -> plt.Figure:
    figure, axes = plt.subplots(1, 2, figsize=(5, 2))
    plt.close(figure)
    axes[0].set_title("the image")
    axes[1].set_title("the\nanswer")
    figure.suptitle("Cells")
    figure.supxlabel("a note")
    return figure


def test_uploaded_files_are_kept_by_their_names(tmp_path, colab):
    paths = uh.upload(tmp_path / "uploads")
    assert [path.name for path in paths] == ["cells.png", "retina.jpg"]
    assert [path.read_bytes() for path in paths] == [b"cells", b"retina"]
    assert {path.parent for path in paths} == {tmp_path / "uploads"}


def test_outside_colab_there_is_nothing_to_upload():
    with pytest.raises(uh.UNetHelpersError, match="Uploading is for Colab"):
        uh.upload()


def test_everything_in_the_folder_is_taken_away(tmp_path, capsys):
    (tmp_path / "results/deeper").mkdir(parents=True)
    (tmp_path / "results/a.csv").write_text("a")
    (tmp_path / "results/deeper/b.csv").write_text("b")
    archive = uh.take_away(tmp_path / "results")
    assert archive == tmp_path / "results.zip"
    with zipfile.ZipFile(archive) as file:
        assert file.namelist() == ["results/a.csv", "results/deeper/b.csv"]
        assert file.read("results/deeper/b.csv") == b"b"
    assert capsys.readouterr().out == f"2 files in {archive} (0.0 MB)\n"


def test_taken_away_once_more_the_archive_is_replaced(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/a.csv").write_text("a")
    uh.take_away(tmp_path / "results")
    (tmp_path / "results/a.csv").rename(tmp_path / "results/b.csv")
    archive = uh.take_away(tmp_path / "results")
    with zipfile.ZipFile(archive) as file:
        assert file.namelist() == ["results/b.csv"]


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "results").mkdir()
    (tmp_path / "results/a.csv").write_text("a")
    assert uh.take_away("~/results", "mine.zip") == tmp_path / "mine.zip"


@pytest.mark.parametrize("makes_the_folder", [True, False])
def test_there_must_be_something_to_take_away(tmp_path, makes_the_folder):
    if makes_the_folder:
        (tmp_path / "results").mkdir()
    with pytest.raises(uh.SaveError, match="nothing to take away yet"):
        uh.take_away(tmp_path / "results")


def test_in_colab_the_browser_downloads_it(tmp_path, colab):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/a.csv").write_text("a")
    archive = uh.take_away(tmp_path / "results")
    assert colab["paths"] == [str(archive)]


def test_a_figure_is_told_by_its_titles_and_its_note(figure):
    assert titles_of(figure) == "Cells. the image. the answer. a note"


def test_a_figure_is_as_wide_as_its_inches_ask(figure):
    _, metadata = described_jpeg(figure, max_width=940, density=1.5, quality=72)
    assert metadata == {"width": 400, "height": 160, "alt": titles_of(figure)}


def test_a_figure_is_no_wider_than_the_column(figure):
    content, metadata = described_jpeg(figure, max_width=200, density=1.5, quality=72)
    assert (metadata["width"], metadata["height"]) == (200, 80)
    assert Image.open(BytesIO(content)).size == (300, 120)


def test_outside_a_notebook_figures_stay_as_they_are():
    uh.describe_figures()
