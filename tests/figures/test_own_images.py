"""The form for a person's own images: answers, a sentence for what fails, nothing that is stale."""

import re
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import unet_helpers as uh
from unet_helpers.figures.own_images import OwnImages, contents_of


@pytest.fixture
def tile() -> np.ndarray:
    return uh.read_image(uh.sample("fluorescence")).pixels[:96, :96]


@pytest.fixture
def folder(tmp_path, tile):
    """Two images and a file that is none."""
    Image.fromarray(tile).save(tmp_path / "a.png")
    Image.fromarray(tile.T).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"no image")
    return tmp_path


class Shown:
    """Stands for a notebook's output; keeps what replaced it."""

    def __init__(self) -> None:
        self.pages: list[str] = []

    def update(self, html) -> None:
        self.pages.append(html.data)


def test_a_file_is_segmented_and_shown_with_its_titles_as_alternative_text(folder):
    own = OwnImages(f'"{folder / "a.png"}" ', "nuclei")
    assert [result.image.name for result in own.results] == ["a"]
    panel = own.panel()
    assert panel.count("<img") == 1
    assert "Cell nuclei" in re.search(r'alt="([^"]+)"', panel)[1]
    assert "a by nuclei: " in panel


def test_a_suggested_network_is_named(folder):
    own = OwnImages(str(folder / "a.png"))
    assert own.results[0].card.name in uh.suggest_model(folder / "a.png")
    assert f"a by {own.results[0].card.name}" in own.panel()


def test_a_folder_is_a_gallery_and_a_table_and_a_sentence_for_what_failed(folder):
    own = OwnImages(str(folder), "nuclei")
    assert list(own.table()["Image"]) == ["a", "b"]
    assert len(own.errors) == 1
    assert "c.png" in own.errors[0]
    panel = own.panel()
    assert panel.count("<img") == 1
    assert panel.count("<tr") == 3
    assert "2 images, 2 of them as pictures" in panel


def test_without_a_source_the_example_is_taken(tile):
    for nothing in ("", " ", []):
        assert len(OwnImages(nothing, "nuclei", example=tile).results) == 1


def test_without_source_and_example_it_says_so():
    own = OwnImages("", "nuclei")
    assert own.results == []
    assert "the path is empty" in own.panel()


def test_after_a_mistake_nothing_of_the_earlier_answer_stays(folder):
    own = OwnImages(str(folder / "a.png"), "nuclei")
    own.handle = Shown()
    own.segment("nowhere.png", "nuclei")
    assert own.results == []
    assert "<img" not in own.handle.pages[-1]
    assert own.handle.pages[-1].count("<p") == 1
    assert "nowhere.png" in own.handle.pages[-1]

    own.segment(str(folder / "b.png"), "nuclei")
    assert own.errors == []
    assert "Segmenting image 1 of 1" in own.handle.pages[-2]
    assert "<img" in own.handle.pages[-1]


def test_an_empty_folder_is_a_sentence(tmp_path):
    assert "there is nothing in this folder" in OwnImages(str(tmp_path)).panel()


def test_what_an_error_says_is_no_html():
    own = OwnImages("<b>.png", "nuclei")
    assert "<b>" not in own.panel()


def test_the_button_segments_what_the_fields_say(folder):
    pytest.importorskip("ipywidgets")
    own = OwnImages(str(folder / "a.png"), "nuclei")
    image, _, network, button = own.form().children
    assert (image.value, network.value) == (str(folder / "a.png"), "nuclei")
    image.value = str(folder / "b.png")
    button.click()
    assert [result.image.name for result in own.results] == ["b"]


def test_the_button_takes_an_image_without_a_path_again(tile):
    pytest.importorskip("ipywidgets")
    own = OwnImages(tile, "nuclei")
    image, _, network, button = own.form().children
    assert image.value == ""
    network.value = "lungs"
    button.click()
    assert [result.card.name for result in own.results] == ["lungs"]


def test_chosen_files_are_kept_and_segmented(folder, tmp_path, monkeypatch):
    pytest.importorskip("ipywidgets")
    monkeypatch.chdir(tmp_path)
    own = OwnImages(str(folder / "a.png"), "nuclei")
    _, files, _, _ = own.form().children
    content = (folder / "b.png").read_bytes()
    change = {"new": [{"name": "mine.png", "content": memoryview(content)}]}
    for handler in files._trait_notifiers["value"]["change"]:
        if getattr(handler, "__name__", "") == "run_uploads":
            handler(change)
    assert [result.image.name for result in own.results] == ["mine"]
    assert (tmp_path / "uploads/mine.png").read_bytes() == content


def test_in_colab_there_is_no_second_way_to_upload(tile, monkeypatch):
    pytest.importorskip("ipywidgets")
    own = OwnImages(tile, "nuclei")
    assert len(own.form().children) == 4
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    assert len(own.form().children) == 3


@pytest.mark.parametrize(
    "uploaded",
    [
        {"a.png": {"metadata": {"name": "a.png"}, "content": b"12"}},
        ({"name": "a.png", "content": memoryview(b"12")},),
    ],
    ids=["ipywidgets 7", "ipywidgets 8"],
)
def test_uploads_of_both_kinds_of_widget_are_read(uploaded):
    assert contents_of(uploaded) == {"a.png": b"12"}


def test_a_cell_shows_the_form_and_below_it_the_answer(tile, monkeypatch):
    pytest.importorskip("ipywidgets")
    shown = []

    def display(thing, display_id=None):
        shown.append(thing)
        return SimpleNamespace(update=shown.append)

    monkeypatch.setattr("IPython.display.display", display)
    OwnImages(tile, "nuclei")._ipython_display_()
    form, answer = shown
    assert type(form).__name__ == "VBox"
    assert "<img" in answer.data
