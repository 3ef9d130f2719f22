"""The report in headless Chromium, opened from disk, with every request refused."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.networks import make_network
from PIL import Image

from unet_helpers.errors import SaveError
from unet_helpers.images.image import MedicalImage
from unet_helpers.results.report import report_index
from unet_helpers.results.segmentation import Segmentation

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "<img src=x onerror=alert(1)>.png"


def blobs(shape, classes=1, seed=0):
    """Probabilities of all values, many of them exactly on a step of the slider."""
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(
        np.random.default_rng(seed).normal(size=(classes, *shape)), (0, *[4] * len(shape))
    )
    field = (1 / (1 + np.exp(-4 * field / field.std()))).astype(np.float32)
    field[..., ::3] = np.round(field[..., ::3] * 200).astype(np.float32) / np.float32(200)
    if classes == 1:
        return field
    field /= field.sum(0)
    return field


def result_of(probabilities, axes="YX", share=0.0, threshold=0.5, path=None, **more):
    card = replace(make_network(len(probabilities)).card, min_component_share=share)
    pixels = (255 * probabilities[-1]).astype(np.uint8)
    image = MedicalImage(
        pixels, axes, path=path, notes=("</script><script>alert(2)</script>",), **more
    )
    return Segmentation(image, card, probabilities, threshold, warnings=("A <b>doubt</b>.",))


RESULTS = {
    "image": lambda: result_of(blobs((120, 160)), path=Path(HOSTILE), threshold=0.333),
    "classes": lambda: result_of(blobs((90, 70), 3), share=0.1),
    "volume": lambda: result_of(
        blobs((24, 30, 36)), "XYZ", 0.2, spacing=(1.0, 1.0, 2.0), affine=np.diag([-1, 1, 2, 1.0])
    ),
    "stack": lambda: result_of(blobs((9, 40, 50), 3), "ZYX", 1.0),
    "movie": lambda: result_of(blobs((4, 40, 50)), "TYX", 0.3),
}


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def opened(browser, path, **options):
    context = browser.new_context(
        offline=True, bypass_csp=options.pop("bypass_csp", False), **options
    )
    page = context.new_page()
    page.faults = []
    page.on("dialog", lambda dialog: (page.faults.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda line: page.faults.append(line.text) if line.type == "error" else None)
    page.on(
        "request",
        lambda r: None if r.url.startswith(("blob:", path.as_uri())) else page.faults.append(r.url),
    )
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready=yes]", timeout=30_000)
    return page


def slide(page, step):
    page.eval_on_selector(
        "#threshold", "(s, v) => { s.value = v; s.dispatchEvent(new Event('input')) }", str(step)
    )


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
@pytest.mark.parametrize("kind", RESULTS)
def test_the_sliders_mask_is_that_of_the_package_and_downloads(browser, tmp_path, kind):
    result = RESULTS[kind]()
    page = opened(browser, result.report(tmp_path / "report.html"))
    steps = page.evaluate("facts.steps")
    for threshold in (0.1, 0.3, result.threshold, 0.55, 0.8):
        slide(page, int(np.abs(np.array(steps) - threshold).argmin()))
        expected = replace(result, threshold=threshold).labels
        assert int(page.get_attribute("#count", "data-count")) == np.count_nonzero(expected) > 0
        with page.expect_download() as waiting:
            page.click("#save-mask")
        saved = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(saved)
        found = np.array(Image.open(saved)) if saved.suffix == ".png" else np.load(saved)
        np.testing.assert_array_equal(found, expected)
    assert page.faults == []


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_slices_scroll_by_wheel_and_keyboard_and_the_table_highlights(browser, tmp_path):
    page = opened(browser, RESULTS["volume"]().report(tmp_path / "report.html"))
    assert page.locator("#planes canvas").count() == 3
    canvas = page.locator("#planes canvas").first
    before = page.evaluate("state.at[0]")
    canvas.hover()
    page.mouse.wheel(0, 100)
    page.wait_for_function(f"state.at[0] === {before + 1}")
    canvas.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("state.at[0]") == before - 1
    row = page.locator("#objects tbody tr").first
    row.locator("button").press("Enter")
    assert "chosen" in row.get_attribute("class")
    assert page.evaluate("state.chosen") == int(row.get_attribute("data-id"))
    row.locator("button").press("Enter")
    page.evaluate("window.scrollTo(0, 0)")
    y, x = page.evaluate(
        "(() => { const i = arrays.objects.subarray(state.at[0] * slice).findIndex((v) => v);"
        "return [(Math.floor(i / width) + .5) / height, (i % width + .5) / width] })()"
    )
    box = canvas.bounding_box()
    canvas.click(position={"x": x * box["width"], "y": y * box["height"]})
    assert (
        page.locator("#objects tr.chosen").get_attribute("data-id")
        == str(page.evaluate("state.chosen"))
        != "0"
    )
    assert page.faults == []


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["image", "volume"])
def test_no_barrier_is_found_by_axe(browser, tmp_path, kind, scheme):
    path = RESULTS[kind]().report(tmp_path / "report.html")
    page = opened(
        browser,
        path,
        color_scheme=scheme,
        bypass_csp=True,
        viewport={"width": 1200, "height": 1000},
    )
    if shots := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{shots}/report-{kind}-{scheme}.png", full_page=True)
    package = pytest.importorskip("axe_playwright_python")
    page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run()")
    assert [(v["id"], [n["html"][:100] for n in v["nodes"]]) for v in found["violations"]] == []


def test_a_report_is_small_holds_no_address_to_load_and_is_not_overwritten(tmp_path):
    noise = np.random.default_rng(0)
    probabilities = noise.random((1, 1024, 1024), np.float32) ** 8
    result = result_of(probabilities[:, :, :], threshold=0.999)
    result = replace(
        result, image=MedicalImage(noise.integers(0, 255, (1024, 1024, 3)).astype(np.uint8), "YXC")
    )
    path = result.report(tmp_path / "a.html")
    text = path.read_text()
    assert path.stat().st_size < 5e6
    assert "times smaller" in text
    assert "default-src 'none'" in text
    assert not any(word in text for word in (" src=", "@import", "url(", "fetch("))
    with pytest.raises(SaveError, match="exists already"):
        result.report(path)
    assert 'href="./a.html"' in report_index(tmp_path).read_text()
    report_index(tmp_path)
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(SaveError, match="another program"):
        report_index(tmp_path)


def test_names_and_notes_are_escaped(tmp_path):
    text = RESULTS["image"]().report(tmp_path / "a.html").read_text()
    assert "<img" not in text
    assert "<b>" not in text
    assert "<script>alert" not in text
    assert "&lt;img" in text


def test_a_long_table_is_cut_and_the_page_says_so(tmp_path, monkeypatch):
    """The manifest in the page counted the rows shown, not the objects."""
    monkeypatch.setattr("unet_helpers.results.report.MAX_ROWS", 2)
    result = result_of(blobs((64, 64)))
    count = len(result.measure())
    assert count > 2
    page = result.report(tmp_path / "a.html").read_text("utf-8")
    assert f"first 2 of {count} rows" in page
    assert f"<dt>objects</dt><dd>{count}</dd>" in page
