"""What a notebook's cell shows: the picture, and every warning and note as text."""

import numpy as np
import pytest
from helpers.networks import make_network
from helpers.results import result_of_labels
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import unet_helpers as uh
from unet_helpers.results.display import lines_in_html, remarks

LABELS = np.array([[0, 1, 1, 0], [0, 0, 0, 2]])


@pytest.fixture
def shell():
    """A shell like that of a notebook, without its history."""
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    yield shell
    InteractiveShell.clear_instance()


def texts(captured, kind: str = "text/plain") -> str:
    return "\n".join(output.data.get(kind, "") for output in captured.outputs)


def test_a_cell_shows_the_picture_and_the_warnings(shell):
    shell.user_ns.update(uh=uh, network=make_network(), flat=np.full((40, 50), 7, np.uint8))
    with capture_output() as captured:
        shell.run_cell("uh.segment(flat, network, progress=False)")
    assert captured.outputs[0].data["image/png"]
    assert "warning: all values are the same" in texts(captured)
    assert "all values are the same" in texts(captured, "text/html")


def test_an_answer_without_warnings_and_notes_is_its_picture_alone(shell):
    shell.user_ns["result"] = result_of_labels(LABELS, 2)
    with capture_output() as captured:
        shell.run_cell("result")
    assert len(captured.outputs) == 1 + bool(remarks(shell.user_ns["result"]))


def test_warnings_come_before_notes_and_each_is_told_once():
    result = result_of_labels(LABELS, 2, warnings=("Odd.", "Odder."), notes=("noted",))
    lines = remarks(result)
    assert lines[:2] == ["warning: Odd.", "warning: Odder."]
    assert lines[-1] == "note: noted"
    assert len(set(lines)) == len(lines)


def test_what_a_file_says_is_text_and_no_markup():
    assert "&lt;b&gt;" in lines_in_html(["note: series <b>T1</b>"])


def test_a_misspelt_path_is_one_sentence_in_a_notebook(shell):
    shell.user_ns["uh"] = uh
    with capture_output() as captured:
        ran = shell.run_cell("own = uh.segment_many('misspelt.png', 'nuclei')")
    # Programs that run notebooks still see the exception.
    assert isinstance(ran.error_in_exec, uh.ImageError)
    lines = captured.stdout.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("ImageError: ")
    assert "there is no such file" in lines[0]


@pytest.mark.parametrize(
    "error", [uh.ImageError, uh.ModelError, uh.SaveError, uh.ArgumentError, uh.TrainingError]
)
def test_each_error_of_the_package_is_one_sentence(error):
    assert error("It is wrong.")._render_traceback_() == [f"{error.__name__}: It is wrong."]
