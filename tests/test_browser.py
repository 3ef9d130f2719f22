"""A person's view: JupyterLab in headless Chromium runs all cells of the notebook, and the playground moves."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAME = "Medical_Image_Segmentation.ipynb"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-component-update",
    "--disable-quic",
]


@pytest.fixture
def lab(tmp_path):
    """A JupyterLab of our own on a copy of what the notebook needs; yields its address."""
    for part in ("unet_helpers", "sample_images"):
        shutil.copytree(ROOT / part, tmp_path / part)
    shutil.copy(ROOT / NAME, tmp_path / NAME)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--IdentityProvider.token=",
        "--ServerApp.ip=127.0.0.1",
    ]
    environment = os.environ | {
        "UNET_HELPERS_CACHE": str(tmp_path / "cache"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "jc"),
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", *options],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}/lab/tree/{NAME}?reset"
    for _ in range(120):
        try:
            urllib.request.urlopen(address, timeout=2)
            break
        except OSError:
            time.sleep(0.5)
    yield address
    server.terminate()
    server.wait(20)


def test_run_all_in_a_browser(lab, tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api")
    shots = Path(os.environ.get("SCREENSHOTS", tmp_path))
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        page.goto(lab)
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(
            timeout=60_000
        )  # a click before is lost
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        deadline = time.monotonic() + 400
        saved = tmp_path / "results.zip"  # what the last code cell writes
        while not saved.exists() and time.monotonic() < deadline:
            page.wait_for_timeout(2000)
        assert saved.exists(), "the last cell was never reached"
        panel = page.locator(".jp-WindowedPanel-outer").first
        seen, errors, sliders = set(), 0, 0
        for step in range(400):  # JupyterLab draws only the cells in view: go down in steps
            page.wait_for_timeout(150)
            errors += page.locator(
                "[data-mime-type='application/vnd.jupyter.stderr'] .ansi-red-fg"
            ).count()
            errors += page.locator(
                ".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']"
            ).count()
            for image in page.locator(".jp-OutputArea-output img").all():
                source = image.get_attribute("src") or ""
                if source not in seen and image.evaluate(
                    "i => i.complete && i.naturalWidth > 50 && i.width > 50"
                ):
                    seen.add(source)
                    image.scroll_into_view_if_needed()
                    page.screenshot(path=shots / f"figure-{len(seen):02d}.png")
            slider = page.locator(
                ".jupyter-widgets .noUi-handle, .jupyter-widgets input[type=range]"
            )
            if slider.count() and not sliders:
                sliders = 1
                picture = page.locator(".jupyter-widgets img").nth(
                    1
                )  # the playground: before, after
                before = picture.get_attribute("src")
                slider.first.focus()
                for _ in range(4):
                    page.keyboard.press("ArrowRight")
                page.wait_for_timeout(4000)
                assert picture.get_attribute("src") != before, (
                    "the slider moved and the picture did not"
                )
            bottom = panel.evaluate(
                "p => { p.scrollBy(0, 500); return p.scrollTop + p.clientHeight >= p.scrollHeight - 2 }"
            )
            if bottom and step > 5:
                break
        browser.close()
    assert errors == 0
    assert sliders == 1, "the slider of the playground was not drawn"
    figures = len(re.findall(r'"image/(?:png|jpeg)": "', (ROOT / NAME).read_text()))
    assert figures > 10
    assert len(seen) >= figures, (
        f"{len(seen)} pictures in the browser, {figures} stored in the notebook"
    )
