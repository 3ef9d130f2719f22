"""Messages of a canvas: strokes, errors, files, and a kernel that was started again."""

import io
import json
import sys
import types

import numpy as np
import pytest
from PIL import Image, ImageColor

import unet_helpers as uh
from unet_helpers.annotate.desk import Desk
from unet_helpers.annotate.widget import html_for_colab, widget_of


@pytest.fixture
def pixels() -> np.ndarray:
    image = np.random.default_rng(0).normal(40, 8, (64, 48))
    image[10:40, 10:40] += 100
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture
def desk(pixels, tmp_path) -> Desk:
    return Desk(uh.Painter(pixels, "filters", classes=["square"]), tmp_path / "a/strokes.json")


def stroke(number: int, points: list, name: str = "square", tool: str = "stroke") -> dict:
    return {
        "id": number,
        "action": "stroke",
        "stroke": {"tool": tool, "points": points, "name": name, "width": 5},
    }


def picture_of(answer: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(answer)))


def test_a_stroke_is_painted_saved_and_answered_with_a_picture(desk):
    desk.handle(stroke(1, [[20, 15], [20, 35]]))
    reply, answer = desk.handle(stroke(2, [[55, 5], [55, 40]], "background"))
    assert (reply["strokes"], reply["error"]) == (2, "")
    assert len(json.loads(desk.path.read_text())["strokes"]) == 2

    picture = picture_of(answer)
    assert picture.shape == (64, 48, 4)
    assert tuple(picture[20, 20, :3]) == ImageColor.getrgb(desk.classes()[1]["color"])
    assert picture[55, 20].tolist() == [255, 255, 255, 255]


def test_an_error_is_a_line_and_nothing_else_happens(desk):
    reply, _ = desk.handle(stroke(1, [[60, 45]], tool="remove"))
    assert "no object" in reply["error"]
    assert reply["strokes"] == 0


def test_a_message_that_comes_twice_is_carried_out_once(desk):
    desk.handle(stroke(1, [[20, 15], [20, 35]]))
    reply, _ = desk.handle(stroke(1, [[20, 15], [20, 35]]))
    assert reply["strokes"] == 1
    # A reply that is overtaken by a later one is known by its number.
    assert reply["version"] == 2


def test_undo_redo_and_new_classes(desk):
    desk.handle(stroke(1, [[20, 15], [20, 35]]))
    assert desk.handle({"id": 2, "action": "undo"})[0]["strokes"] == 0
    assert desk.handle({"id": 3, "action": "redo"})[0]["strokes"] == 1
    reply, _ = desk.handle({"id": 4, "action": "class", "name": "other"})
    assert [one["name"] for one in reply["classes"]] == ["background", "square", "other"]


def test_after_a_restart_the_file_and_unanswered_strokes_are_taken_up(pixels, tmp_path, capsys):
    path = tmp_path / "strokes.json"
    before = uh.paint(pixels, "filters", classes=["square"], strokes=path)
    before.desk.handle(stroke(1, [[20, 15], [20, 35]]))

    again = uh.paint(pixels, "filters", classes=["square"], strokes=path)
    assert "1 strokes were taken up again" in capsys.readouterr().out
    unanswered = [stroke(2, [[55, 5], [55, 40]], "background")]
    reply, _ = again.desk.handle({"id": 1, "action": "hello", "unanswered": unanswered})
    assert reply["strokes"] == 2
    assert reply["ids"] == [2, 1]


def test_large_pictures_are_shrunk_for_the_browser_and_points_are_not(tmp_path):
    pixels = np.zeros((100, 4100), np.uint8)
    pixels[:, 2050:] = 200
    desk = Desk(uh.Painter(pixels, "filters"), tmp_path / "strokes.json")
    assert desk.state["shape"] == [100, 4100]
    assert picture_of(desk.picture()).shape[1] == 2048
    desk.handle(stroke(1, [[50, 3000], [50, 4000]]))
    _, answer = desk.handle(stroke(2, [[50, 100], [50, 1000]], "background"))
    assert picture_of(answer).shape[1] == 2048
    assert picture_of(answer)[10, 1800, 3] > 0


def test_the_widget_passes_messages_on(desk):
    pytest.importorskip("anywidget")
    widget = widget_of(desk)
    sent = []
    widget.send = lambda reply, buffers: sent.append((reply, buffers))
    widget._handle_custom_msg({"id": 0, "action": "hello"}, [])
    widget._handle_custom_msg(stroke(1, [[20, 15], [20, 35]]), [])

    (_, (_, picture)), (reply, (answer,)) = sent
    assert picture_of(picture).shape == (64, 48, 3)
    assert reply["strokes"] == 1
    assert picture_of(answer).shape == (64, 48, 4)
    assert "export default" in widget._esm


def test_colab_gets_html_that_calls_a_function_of_the_kernel(desk, monkeypatch):
    callbacks = {}
    colab = types.ModuleType("google.colab")
    colab.output = types.SimpleNamespace(register_callback=callbacks.__setitem__)
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)

    html = html_for_colab(desk)
    (name,) = callbacks
    assert name in html
    assert "export default" not in html
    reply = callbacks[name](stroke(1, [[20, 15], [20, 35]])).data
    assert reply["strokes"] == 1
    assert reply["answer"].startswith("data:image/png;base64,")
