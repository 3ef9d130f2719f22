"""A person's view of the canvas: JupyterLab and plain HTML in Chromium, by a real mouse."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from helpers.colab import make_notebook
from helpers.places import ROOT
from helpers.servers import serve
from test_browser import CHROMIUM, CHROMIUM_OPTIONS, free_port, wait_for

from unet_helpers.annotate.widget import data_url, html_of

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
]

# Milliseconds for an answer on a busy machine, and until a kernel counts as gone.
ANSWER = 60_000
GONE = 30_000

DRAWN = """
import numpy as np
import unet_helpers as uh
pixels = np.random.default_rng(0).normal(40, 8, (200, 300))
pixels[20:90, 20:90] += 100
pixels[120:180, 150:280] += 100
pixels = pixels.clip(0, 255).astype(np.uint8)
canvas = uh.paint(pixels, "filters", classes=["square"], strokes="strokes.json")
canvas
"""


@pytest.fixture
def browser() -> Iterator[Any]:
    playwright_api = pytest.importorskip("playwright.sync_api")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


class Mouse:
    """Draws on the canvas of a page, in px of the image of (200, 300)."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.root = page.locator(".uh-paint").first
        self.canvas = page.locator(".uh-canvas").first

    def tool(self, name: str) -> None:
        self.root.get_by_role("button", name=name, exact=True).first.click()

    def drag(self, *points: tuple[float, float]) -> None:
        self.canvas.scroll_into_view_if_needed()
        box = self.canvas.bounding_box()
        zoom = box["width"] / 300
        places = [(box["x"] + column * zoom, box["y"] + row * zoom) for row, column in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=8)
        self.page.mouse.up()

    def wait(self, **expected: int) -> None:
        """Wait until the canvas says so many strokes or objects."""
        marks = "".join(f"[data-{name}='{value}']" for name, value in expected.items())
        deadline = time.monotonic() + ANSWER / 1000
        while not self.page.locator(f".uh-paint{marks}").count():
            seen = self.page.locator(".uh-paint").all_inner_texts()
            assert time.monotonic() < deadline, f"{expected}: {seen}"
            self.page.wait_for_timeout(100)

    def status(self) -> str:
        """What the canvas says below the picture."""
        return self.root.locator(".uh-status").inner_text()


def paint_split_join_and_remove(mouse: Mouse) -> None:
    """What both front ends must do: strokes, undo, split, join, remove."""
    mouse.wait(strokes=0)
    mouse.drag((50, 30), (50, 80))
    mouse.wait(strokes=1)
    mouse.tool("background")
    mouse.drag((105, 10), (105, 290))
    mouse.drag((10, 10), (10, 290))
    mouse.wait(strokes=3, objects=2)

    mouse.tool("Undo")
    mouse.wait(strokes=2)
    mouse.tool("Redo")
    mouse.wait(strokes=3, objects=2)

    mouse.tool("Split")
    mouse.drag((10, 55), (100, 55))
    mouse.wait(strokes=4, objects=3)
    mouse.tool("Join")
    mouse.drag((60, 70), (150, 200))
    mouse.wait(strokes=5, objects=2)
    mouse.tool("Remove")
    mouse.drag((50, 35))
    mouse.wait(strokes=6, objects=1)


# plain HTML, as in Colab


@pytest.fixture
def colab_page(browser, tmp_path) -> Iterator[Any]:
    """The canvas on a page with Colab's way of calling the kernel, which is this process."""
    names: dict[str, Any] = {}
    exec(DRAWN.replace("strokes.json", str(tmp_path / "strokes.json")), names)
    desk = names["canvas"].desk

    class Kernel(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kernel = (
                "<script>const google = {colab: {kernel: {invokeFunction: async (name, [message]) "
                "=> ({data: {'application/json': await (await fetch('/call', {method: 'POST', "
                "body: JSON.stringify(message)})).json()}})}}};</script>"
            )
            page = f"<!doctype html><title>Colab</title>{kernel}{html_of(desk, 'paint')}"
            self.answer("text/html; charset=utf-8", page)

        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply, answer = desk.handle(message)
            self.answer("application/json", json.dumps({**reply, "answer": data_url(answer)}))

        def answer(self, kind: str, content: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: object) -> None:
            pass

    with serve(Kernel) as (address, _):
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.goto(address)
        page.desk = desk
        yield page


def test_in_colab_everything_works_by_calls_of_the_kernel(colab_page, tmp_path):
    mouse = Mouse(colab_page)
    paint_split_join_and_remove(mouse)
    colab_page.screenshot(path=os.environ.get("SCREENSHOTS", str(tmp_path)) + "/colab.png")
    assert "6 strokes" in mouse.status()
    assert len(json.loads((tmp_path / "strokes.json").read_text())["strokes"]) == 6

    # Loaded again, the page shows what was painted.
    colab_page.reload()
    Mouse(colab_page).wait(strokes=6, objects=1)


def test_keys_zoom_and_the_new_class(colab_page):
    mouse = Mouse(colab_page)
    mouse.wait(strokes=0)
    field = colab_page.get_by_label("Name of a new class")
    field.fill("other")
    field.press("Enter")
    mouse.root.get_by_role("button", name="other").wait_for(timeout=ANSWER)

    colab_page.keyboard.press("0")
    colab_page.keyboard.press("]")
    mouse.drag((105, 10), (105, 290))
    mouse.wait(strokes=1)
    stroke = colab_page.desk.painter.strokes[0]
    assert (stroke.name, stroke.width) == ("background", 6)
    assert stroke.points[0] == pytest.approx((105, 10), abs=1.5)
    assert stroke.points[-1] == pytest.approx((105, 290), abs=1.5)

    # After a zoom by the wheel, what lies under the mouse is painted.
    box = mouse.canvas.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    colab_page.mouse.move(*middle)
    colab_page.mouse.wheel(0, -400)
    colab_page.mouse.down()
    colab_page.mouse.up()
    mouse.wait(strokes=2)
    assert colab_page.desk.painter.strokes[1].points[0] == pytest.approx((100, 150), abs=1.5)

    colab_page.keyboard.press("z")
    mouse.wait(strokes=1)


def test_a_stroke_is_not_lost_if_an_answer_comes_while_it_is_drawn(colab_page):
    mouse = Mouse(colab_page)
    mouse.wait(strokes=0)
    mouse.drag((50, 30), (50, 80))
    box = mouse.canvas.bounding_box()
    zoom = box["width"] / 300
    colab_page.mouse.move(box["x"] + 10 * zoom, box["y"] + 105 * zoom)
    colab_page.mouse.down()
    mouse.wait(strokes=1)
    colab_page.mouse.move(box["x"] + 200 * zoom, box["y"] + 105 * zoom, steps=5)
    colab_page.mouse.up()
    mouse.wait(strokes=2)


def test_errors_are_said_in_a_line(colab_page):
    mouse = Mouse(colab_page)
    mouse.wait(strokes=0)
    mouse.tool("Remove")
    mouse.drag((100, 100))
    colab_page.get_by_text("There is no object at row 100").wait_for(timeout=ANSWER)


# JupyterLab


@pytest.fixture
def lab(tmp_path) -> Iterator[str]:
    """A JupyterLab of our own with a notebook that opens a canvas; gives its address."""
    for folder in ("unet_helpers", "sample_images"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "paint.ipynb").write_text(json.dumps(make_notebook([DRAWN.strip()])))

    port = free_port()
    options = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--IdentityProvider.token=",
        "--ServerApp.ip=127.0.0.1",
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", *options],
        cwd=tmp_path,
        env=os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path / "jupyter")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(f"http://127.0.0.1:{port}/lab")
    yield f"http://127.0.0.1:{port}/lab/tree/paint.ipynb"
    server.terminate()
    server.wait(20)


def run_cells(page: Any) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()


def test_in_jupyterlab_with_a_reload_and_a_restarted_kernel(browser, lab, tmp_path):
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    page.goto(f"{lab}?reset")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=ANSWER)
    run_cells(page)
    mouse = Mouse(page)
    mouse.canvas.wait_for(timeout=2 * ANSWER)
    paint_split_join_and_remove(mouse)
    page.screenshot(path=os.environ.get("SCREENSHOTS", str(tmp_path)) + "/lab.png")

    # The page is saved and loaded again: the kernel still has the strokes.
    page.keyboard.press("Control+s")
    page.wait_for_timeout(2000)
    page.goto(lab)
    mouse = Mouse(page)
    mouse.wait(strokes=6, objects=1)

    # The kernel is restarted under the canvas: a line says so, and the stroke is kept.
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_text("Restart Kernel…", exact=True).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    page.wait_for_timeout(3000)
    mouse.tool("Brush")
    mouse.drag((150, 160), (150, 270))
    page.get_by_text("The kernel does not answer").wait_for(timeout=GONE)

    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=ANSWER)
    run_cells(page)
    Mouse(page).wait(strokes=7)
    saved = json.loads((tmp_path / "strokes.json").read_text())["strokes"]
    assert len(saved) == 7
    assert saved[-1]["points"][0] == pytest.approx([150, 160], abs=1.5)
