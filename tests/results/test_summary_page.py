"""The page about a folder: what needs a look first, thumbnails, links, sorting."""

import re

import numpy as np
import pandas as pd
import pytest
from helpers.networks import make_network
from helpers.places import CHROMIUM
from PIL import Image

import unet_helpers as uh
from unet_helpers.results.summary_page import ORDER, concern_of, number_in_words


@pytest.fixture
def folder(tmp_path):
    """Results of a usual image, one without contrast, and a file that is no image."""
    source = tmp_path / "in"
    source.mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (40, 50), np.uint8)).save(source / "a.png")
    Image.fromarray(np.full((40, 50), 7, np.uint8)).save(source / "flat <b>.png")
    (source / "c.png").write_bytes(b"nothing")
    uh.segment_folder(source, make_network(), tmp_path / "out", formats=(".html",), progress=False)
    return tmp_path / "out"


def rows_of(page: str) -> list[str]:
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    return body.split("<tr>")[1:]


def test_what_needs_a_look_comes_first(folder):
    page = (folder / "summary.html").read_text("utf-8")
    rows = rows_of(page)
    assert len(rows) == 3
    assert "c.png" in rows[0]
    assert "no image format" in rows[0]
    assert "all values are the same" in rows[1]
    assert "a.png" in rows[2]
    assert "1 failed" in page


def test_rows_have_a_picture_and_lead_to_the_report(folder):
    page = (folder / "summary.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64,") == 2
    links = set(re.findall(r'href="([^"]+)"', page))
    assert links == {"a_small.html", "flat%20%3Cb%3E_small.html"}
    assert "<b>" not in page
    assert "flat &lt;b&gt;.png" in page


def test_another_programs_page_is_kept(folder, tmp_path):
    (folder / "summary.html").write_text("mine")
    with pytest.raises(uh.SaveError, match="another program"):
        uh.segment_folder(tmp_path / "in", make_network(), folder, progress=False)
    assert (folder / "summary.html").read_text() == "mine"


@pytest.mark.parametrize(
    ("status", "level", "warnings", "concern"),
    [
        ("failed", None, "", "failed"),
        ("left out", None, "", "left out"),
        ("saved", "doubtful", "", "doubtful"),
        ("done before", "lower", "it is dark", "lower"),
        ("saved", "usual", "it is dark", "warned"),
        ("saved", "usual", "", "usual"),
        ("saved", None, "", "unknown"),
    ],
)
def test_concerns(status, level, warnings, concern):
    manifest = {} if level is None else {"level": level}
    assert concern_of({"status": status, "warnings": warnings}, manifest) == concern
    assert concern in ORDER


def test_the_manifest_holds_the_level(folder):
    table = pd.read_csv(folder / "summary.csv")
    assert set(table["status"]) == {"saved", "failed"}
    assert '"level": "' in (folder / "a_small.json").read_text()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (116, "116"),
        (54896.0, "54,896"),
        (0.98765, "0.9877"),
        (None, ""),
        ("1.2.3", "1.2.3"),
    ],
)
def test_numbers_are_short(value, words):
    assert number_in_words(value) == words


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_a_click_on_a_heading_sorts_numbers_and_keeps_empty_cells_last(folder):
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        faults = []
        page.on("console", lambda line: faults.append(line.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto((folder / "summary.html").as_uri())

        def counts():
            heads = page.locator("thead th").all_inner_texts()
            column = [head.split()[0] for head in heads].index("objects")
            cells = page.locator(f"tbody tr td:nth-child({column + 1})").all_inner_texts()
            return [int(cell) if cell else None for cell in cells]

        page.get_by_role("button", name="objects").click()
        rising = counts()
        page.get_by_role("button", name="objects").click()
        falling = counts()
        browser.close()
    assert rising[-1] is None
    assert falling[-1] is None
    assert rising[:2] == sorted(rising[:2])
    assert falling[:2] == rising[:2][::-1]
    assert faults == []
