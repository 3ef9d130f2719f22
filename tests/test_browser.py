"""A person's view: JupyterLab in headless Chromium runs all cells of the notebook.

The figures have to be drawn, and the playground has to follow its slider.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.places import CHROMIUM, ROOT

NAME = "Medical_Image_Segmentation.ipynb"
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-component-update",
    "--disable-quic",
]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
]

# Seconds: how long JupyterLab may take to start, and the notebook to run.
START_SECONDS = 60
RUN_SECONDS = 400

ERROR = (
    "[data-mime-type='application/vnd.jupyter.stderr'] .ansi-red-fg, "
    ".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']"
)
SLIDER = ".noUi-handle, input[type=range]"
# The state of the kernel, as JupyterLab tells it.
IDLE = "Python 3 (ipykernel) | Idle"
# The canvas for strokes has sliders, too, but no pictures.
PLAYGROUND = f".jupyter-widgets:has(img):has({SLIDER})"
IS_DRAWN = "image => image.complete && image.naturalWidth > 50 && image.width > 50"
SCROLL_DOWN = """panel => {
    panel.scrollBy(0, 500);
    return panel.scrollTop + panel.clientHeight >= panel.scrollHeight - 2;
}"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def lab(tmp_path) -> Iterator[str]:
    """A JupyterLab of our own, on a copy of what the notebook needs; gives its address."""
    for folder in ("unet_helpers", "sample_images"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / NAME, tmp_path / NAME)

    port = free_port()
    options = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--IdentityProvider.token=",
        "--ServerApp.ip=127.0.0.1",
    ]
    folders = {
        "UNET_HELPERS_CACHE": str(tmp_path / "cache"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "jupyter"),
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", *options],
        cwd=tmp_path,
        env=os.environ | folders,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}/lab/tree/{NAME}?reset"
    wait_for(address)
    yield address
    server.terminate()
    server.wait(20)


def wait_for(address: str) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=2)
        except OSError:
            time.sleep(0.5)
        else:
            return


@pytest.fixture
def page(lab) -> Iterator:
    """The notebook, opened in a browser."""
    playwright_api = pytest.importorskip("playwright.sync_api")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        page.goto(lab)
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        # A click before the kernel is ready is lost.
        page.get_by_text(IDLE).wait_for(timeout=60_000)
        yield page
        browser.close()


def run_all_cells(page, last_file: Path) -> None:
    """Click on 'Run All Cells', wait for the file that a late cell writes, and for the rest."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    deadline = time.monotonic() + RUN_SECONDS
    while not last_file.exists() and time.monotonic() < deadline:
        page.wait_for_timeout(2000)
    assert last_file.exists(), "the file was never written"
    # The appendix follows.
    page.get_by_text(IDLE).wait_for(timeout=1000 * RUN_SECONDS)


def picture_follows_the_slider(page) -> bool:
    """Move the slider of the playground, and tell whether the right picture is another one."""
    playground = page.locator(PLAYGROUND).first
    overlay = playground.locator("img").nth(1)
    before = overlay.get_attribute("src")
    playground.locator(SLIDER).first.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(4000)
    return overlay.get_attribute("src") != before


def new_pictures(page, drawn: set[str], folder: Path) -> None:
    """Add the pictures in view to those that were drawn, with a screenshot of each."""
    for image in page.locator(".jp-OutputArea-output img").all():
        source = image.get_attribute("src") or ""
        if source not in drawn and image.evaluate(IS_DRAWN):
            drawn.add(source)
            image.scroll_into_view_if_needed()
            page.screenshot(path=folder / f"figure-{len(drawn):02d}.png")


def test_all_cells_run_and_are_drawn_in_a_browser(page, tmp_path):
    screenshots = Path(os.environ.get("SCREENSHOTS", tmp_path))
    run_all_cells(page, last_file=tmp_path / "results.zip")

    drawn: set[str] = set()
    errors = 0
    slider_was_drawn = False
    # JupyterLab draws only the cells in view, so the test goes down in steps.
    panel = page.locator(".jp-WindowedPanel-outer").first
    for step in range(400):
        page.wait_for_timeout(150)
        errors += page.locator(ERROR).count()
        new_pictures(page, drawn, screenshots)
        if not slider_was_drawn and page.locator(PLAYGROUND).count():
            slider_was_drawn = True
            assert picture_follows_the_slider(page)
        is_at_the_bottom = panel.evaluate(SCROLL_DOWN)
        if is_at_the_bottom and step > 5:
            break

    assert errors == 0
    assert slider_was_drawn, "the slider of the playground was not drawn"
    stored = len(re.findall(r'"image/(?:png|jpeg)": "', (ROOT / NAME).read_text("utf-8")))
    assert stored > 10
    assert len(drawn) >= stored, f"{len(drawn)} pictures drawn, {stored} stored in the notebook"
