"""The report: what is in the page, and the page in headless Chromium, offline."""

import base64
import hashlib
import html
import json
import os
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.networks import make_network
from helpers.places import CHROMIUM
from PIL import Image

from unet_helpers.errors import SaveError
from unet_helpers.images.image import MedicalImage
from unet_helpers.images.stack import as_displayed
from unet_helpers.results.report import image_that_fits, page_of, report_index
from unet_helpers.results.segmentation import Segmentation
from unet_helpers.results.tracks import Tracks

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


def overlapping_result():
    """Two classes, each with all probabilities, that overlap in many pixels."""
    probabilities = np.concatenate([blobs((60, 80), seed=1), blobs((60, 80), seed=2)])
    result = result_of(probabilities)
    card = replace(
        result.card,
        classes=("bone", "air"),
        colors=("#E69F00", "#56B4E9"),
        overlapping=True,
        min_component_share=0.2,
    )
    return replace(result, card=card)


RESULTS = {
    "overlapping": overlapping_result,
    "image": lambda: result_of(blobs((120, 160)), path=Path(HOSTILE), threshold=0.333),
    "classes": lambda: result_of(blobs((90, 70), 3), share=0.1),
    "volume": lambda: result_of(
        blobs((24, 30, 36)), "XYZ", 0.2, spacing=(1.0, 1.0, 2.0), affine=np.diag([-1, 1, 2, 1.0])
    ),
    "stack": lambda: result_of(blobs((9, 40, 50), 3), "ZYX", 1.0),
    "movie": lambda: result_of(blobs((4, 40, 50)), "TYX", 0.3),
}


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
    box = page.evaluate("shownBox(planes[0].canvas)")
    page.mouse.click(box["left"] + x * box["width"], box["top"] + y * box["height"])
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


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
@pytest.mark.parametrize("kind", RESULTS)
def test_the_table_has_the_same_columns_and_sizes_at_every_threshold(browser, tmp_path, kind):
    """Of components, the page measures what ``measure`` does, in the same units."""
    result = RESULTS[kind]()
    result = replace(result, image=replace(result.image, spacing=spacing_of(result.image)))
    page = opened(browser, result.report(tmp_path / "report.html"))
    columns = page.evaluate("state.table.columns")
    step = int(np.abs(np.array(page.evaluate("facts.steps")) - 0.55).argmin())
    slide(page, step)
    page.wait_for_function(f"state.step === {step}")
    expected = replace(result, threshold=0.55).measure()
    assert page.evaluate("state.table.columns") == columns == list(expected)
    found = pd.DataFrame(page.evaluate("state.table.rows"), columns=columns)
    assert len(found) == len(expected)

    order = [name for name in expected if "centroid" in name]
    expected = expected.sort_values(order, ignore_index=True)
    found = found.sort_values(order, ignore_index=True)
    sizes = [name for name in expected if name.startswith(("area", "volume", "diameter", "centr"))]
    for name in sizes:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=2e-4, err_msg=name)
    for name in ("frame", "slice"):
        if name in expected:
            assert found[name].tolist() == expected[name].tolist()
    assert found["touches_edge"].tolist() == expected["touches_edge"].tolist()

    # The number in words is the sum of the sizes in the table; what several classes share counts
    # once.
    size = "area_px" if "area_px" in expected else "volume_px"
    count = int(expected[size].sum())
    if result.card.overlapping:
        count = np.count_nonzero(replace(result, threshold=0.55).labels)
    words = page.inner_text("#count")
    assert words.startswith(f"{count:,} ")
    assert page.faults == []


def spacing_of(image):
    """1, 2 and 4 µm or mm along the axes of an image that lies in space, or of its pixels."""
    return (1.0, 1.0, 2.0) if image.axes == "XYZ" else (0.002,) * len(image.axes.strip("T"))


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_nuclei_of_another_threshold_are_interiors_with_their_borders(browser, tmp_path):
    probabilities = np.zeros((3, 50, 80), np.float32)
    probabilities[0] = 1
    for left in (5, 35):
        probabilities[:, 10:40, left : left + 30] = np.array([0.05, 0.05, 0.9])[:, None, None]
        probabilities[:, 12:38, left + 2 : left + 28] = np.array([0.05, 0.9, 0.05])[:, None, None]
    result = result_of(probabilities)
    result = replace(result, card=replace(result.card, instance_method="interiors"))
    page = opened(browser, result.report(tmp_path / "report.html"))
    own = page.inner_text("#count")
    assert own.startswith("1,800 pixels in the objects")
    assert own.endswith("2 objects.")
    slide(page, 120)
    page.wait_for_function("state.step === 120")
    assert page.inner_text("#count") == own
    areas = page.evaluate(
        "state.table.rows.map((row) => row[state.table.columns.indexOf('area_px')])"
    )
    assert areas == [900, 900]


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
@pytest.mark.parametrize("kind", ["image", "volume"])
def test_image_controls_numbers_and_table_are_on_one_screen(browser, tmp_path, kind):
    page = opened(
        browser,
        RESULTS[kind]().report(tmp_path / "report.html"),
        viewport={"width": 1280, "height": 800},
    )
    for name in ("#planes", "#threshold", "#count", ".scroll", "#save-table"):
        box = page.locator(name).bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 800, name

    # On a telephone nothing is wider than the screen.
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_a_row_brings_its_object_into_view(browser, tmp_path):
    page = opened(browser, RESULTS["image"]().report(tmp_path / "report.html"))
    for _ in range(8):
        page.click("button.zoom[data-by='1.25']")
    page.locator("#objects tbody tr").last.click()
    is_shown = """(() => {
        const i = arrays.objects.indexOf(state.chosen), { x, y } = planes[0];
        const [ox, oy] = [state.at[2] / width - x, state.at[1] / height - y];
        return i >= 0 && ox >= 0 && oy >= 0 && ox < 1 / state.zoom && oy < 1 / state.zoom;
    })()"""
    assert page.evaluate(is_shown)


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_vessels_are_not_counted_as_objects(browser, tmp_path):
    result = RESULTS["image"]()
    result = replace(result, card=replace(result.card, measures="tree"))
    page = opened(browser, result.report(tmp_path / "report.html"))
    assert "object" not in page.inner_text("#count")
    assert page.inner_text("#table-title") == "Connected pieces"


def facts_of(result) -> dict:
    """What the page's JavaScript knows."""
    text = page_of(result)
    start = text.index('id="facts">') + len('id="facts">')
    return json.loads(text[start : text.index("</script>", start)])


def array_of(result, name: str, dtype: str = "u1") -> np.ndarray:
    """One of the page's arrays, unpacked as the browser does."""
    text = page_of(result)
    start = text.index(f'id="array-{name}">') + len(f'id="array-{name}">')
    packed = base64.b64decode(text[start : text.index("</script>", start)])
    return np.frombuffer(zlib.decompress(packed), dtype)


def test_every_step_of_the_slider_gives_the_mask_of_that_threshold():
    result = RESULTS["image"]()
    facts = facts_of(result)
    steps = np.array(facts["steps"], np.float32)
    assert len(steps) == 202
    assert (steps[0], steps[-1]) == (0, 1)
    assert steps[facts["threshold"]] == np.float32(0.333)

    levels = array_of(result, "levels").reshape(result.labels.shape)
    for step in (1, 60, facts["threshold"], 100, 199, 201):
        expected = replace(result, threshold=float(steps[step])).labels > 0
        np.testing.assert_array_equal(levels >= step, expected)


def test_a_threshold_that_is_a_step_already_is_no_further_one():
    assert len(facts_of(RESULTS["stack"]())["steps"]) == 201


def test_facts_of_a_single_image():
    facts = facts_of(RESULTS["image"]())
    expected = {
        "shape": [1, 120, 160],
        "shown": [120, 160],
        "channels": 1,
        "spacing": [1.0, 1.0, 1.0],
        "wide": False,
        "frame": 1,
        "own": {"shape": [120, 160], "start": 0, "steps": [0, 160, 1]},
        "planes": False,
        "method": "components",
        "body": False,
        "classes": ["class 1"],
        "colors": ["#E69F00"],
        "share": 0.0,
    }
    assert {name: facts[name] for name in expected} == expected
    assert facts["name"].endswith("_small")


def test_facts_of_a_volume_say_where_its_displayed_pixels_lie_in_the_file():
    result = RESULTS["volume"]()
    facts = facts_of(result)
    assert facts["shape"] == [36, 30, 24]
    assert facts["spacing"] == [2.0, 1.0, 1.0]
    assert facts["planes"]
    assert facts["body"]
    assert facts["frame"] == 36
    assert facts["own"]["shape"] == [24, 30, 36]

    slices, rows, columns = np.indices(facts["shape"])
    own = facts["own"]
    down, back, left = own["steps"]
    index = own["start"] + slices * down + rows * back + columns * left
    expected = as_displayed(result.image, result.labels)
    np.testing.assert_array_equal(result.labels.reshape(-1)[index], expected)


def test_facts_of_a_movie_say_how_many_slices_a_frame_has():
    facts = facts_of(RESULTS["movie"]())
    assert (facts["shape"], facts["frame"], facts["planes"]) == ([4, 40, 50], 1, False)
    volumes = result_of(blobs((2, 3, 20, 30)), "TZYX")
    assert facts_of(volumes)["frame"] == 3
    stack = result_of(blobs((3, 20, 30)), "ZYX", spacing=(3.0, 2.0, 1.0))
    assert facts_of(stack)["spacing"] == [3.0, 2.0, 1.0]
    assert facts_of(stack)["planes"]


def test_a_single_image_with_a_spacing_has_one_for_rows_and_columns():
    assert facts_of(result_of(blobs((20, 30)), spacing=(2.0, 3.0)))["spacing"] == [1.0, 2.0, 3.0]


def test_classes_and_objects_are_as_displayed():
    result = RESULTS["classes"]()
    classes = array_of(result, "classes").reshape(result.labels.shape)
    np.testing.assert_array_equal(classes, 1 + result.probabilities[1:].argmax(0))
    objects = array_of(result, "objects", "<u2").reshape(result.labels.shape)
    np.testing.assert_array_equal(objects, result.objects)
    assert 'id="array-classes"' not in page_of(RESULTS["image"]())


def test_vessels_have_the_class_of_the_answer_not_of_each_pixel():
    result = RESULTS["classes"]()
    labels = np.where(result.labels > 0, 3 - result.labels, 0).astype(np.uint8)
    assert set(np.unique(labels)) == {0, 1, 2}
    result.__dict__["labels"] = labels
    classes = array_of(result, "classes").reshape(labels.shape)
    np.testing.assert_array_equal(classes[labels > 0], labels[labels > 0])


@pytest.mark.parametrize(
    ("highest", "dtype", "wide"), [(65535, "<u2", False), (65536, "<u4", True)]
)
def test_ids_take_four_bytes_where_two_are_too_few(highest, dtype, wide):
    result = result_of(np.ones((1, 4, 6), np.float32))
    ids = np.zeros((4, 6), np.int32)
    ids[1, 2] = highest
    result.__dict__["_tracks"] = Tracks(ids, parents={})
    assert array_of(result, "objects", dtype).tolist() == ids.reshape(-1).tolist()
    assert facts_of(result)["wide"] is wide


def test_colour_is_shown_with_three_channels():
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    result = result_of(np.zeros((1, 5, 7), np.float32))
    result = replace(result, image=MedicalImage(pixels, "YXC"))
    assert facts_of(result)["channels"] == 3
    np.testing.assert_array_equal(array_of(result, "pixels"), pixels.reshape(-1))


def test_an_image_is_shrunk_until_the_page_is_small_enough_and_the_page_says_so(monkeypatch):
    result = RESULTS["image"]()
    whole = image_that_fits(result.image, bytes_taken=0)
    assert (whole.size, whole.shrink) == ((120, 160), 1)

    limit = len(image_that_fits(result.image, bytes_taken=0).packed)
    monkeypatch.setattr("unet_helpers.results.report.MAX_BYTES_OF_IMAGE", limit)
    assert image_that_fits(result.image, bytes_taken=0).shrink == 1
    assert image_that_fits(result.image, bytes_taken=1).shrink == 2
    assert image_that_fits(result.image, bytes_taken=1).size == (60, 80)
    smallest = image_that_fits(result.image, bytes_taken=10**9)
    assert (smallest.size, smallest.shrink) == ((8, 10), 16)
    assert re.search(r"is shown \d+ times smaller; mask and numbers are not\.", page_of(result))


def test_a_volume_may_take_more_than_an_image(monkeypatch):
    monkeypatch.setattr("unet_helpers.results.report.MAX_BYTES_OF_IMAGE", 0)
    assert image_that_fits(RESULTS["volume"]().image, bytes_taken=0).shrink == 1
    monkeypatch.setattr("unet_helpers.results.report.MAX_BYTES_OF_VOLUME", 0)
    assert image_that_fits(RESULTS["volume"]().image, bytes_taken=0).shrink == 16


def test_a_report_is_small_and_holds_no_address_to_load(tmp_path):
    rng = np.random.default_rng(0)
    result = result_of(rng.random((1, 1024, 1024), np.float32) ** 8, threshold=0.999)
    pixels = rng.integers(0, 255, (1024, 1024, 3)).astype(np.uint8)
    path = replace(result, image=MedicalImage(pixels, "YXC")).report(tmp_path / "a.html")
    text = path.read_text()
    assert path.stat().st_size < 5e6
    assert "times smaller" in text
    assert "default-src 'none'" in text
    assert not any(word in text for word in (" src=", "@import", "url(", "fetch("))


def test_scripts_and_styles_are_those_that_the_page_allows():
    text = page_of(RESULTS["image"]())
    for tag in ("script", "style"):
        start = text.rindex(f"<{tag}>") + len(f"<{tag}>")
        content = text[start : text.index(f"</{tag}>", start)]
        sha256 = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{sha256}'" in text.replace("&#39;", "'").replace("&#43;", "+")


def test_a_report_is_not_overwritten_unless_asked(tmp_path):
    result = result_of(blobs((20, 30)))
    path = result.report(tmp_path / "a.html")
    before = path.read_text("utf-8")
    with pytest.raises(SaveError, match="exists already"):
        result.report(path)
    assert path.read_text("utf-8") == before
    other = result_of(blobs((20, 30), seed=5))
    assert other.report(path, overwrite=True).read_text("utf-8") != before


def test_an_index_links_every_report_in_a_folder(tmp_path):
    result = result_of(blobs((20, 30)))
    for name in ("b.html", "a & b.html"):
        result.report(tmp_path / name)
    path = report_index(str(tmp_path))
    assert path == tmp_path / "index.html"
    text = path.read_text("utf-8")
    links = re.findall(r'href="(.*?)">(.*?)</a>', text)
    assert links == [("./a%20%26%20b.html", "a &amp; b.html"), ("./b.html", "b.html")]
    # Written once more, it does not link itself.
    assert report_index(tmp_path).read_text("utf-8") == text


def test_an_index_replaces_no_file_of_another_program(tmp_path):
    result_of(blobs((20, 30))).report(tmp_path / "a.html")
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(SaveError, match="another program"):
        report_index(tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"


def test_an_index_of_no_reports_is_refused(tmp_path):
    with pytest.raises(SaveError, match="holds no report"):
        report_index(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_and_notes_are_escaped(tmp_path):
    text = RESULTS["image"]().report(tmp_path / "a.html").read_text("utf-8")
    assert "<img" not in text
    assert "<b>" not in text
    assert "<script>alert" not in text
    assert "&lt;img" in text


def test_warnings_notes_and_the_summary_are_in_the_page():
    result = result_of(np.zeros((1, 20, 30), np.float32))
    text = html.unescape(page_of(result))
    assert f"<strong>Warning:</strong> {result.explain()}</p>" in text
    assert "<strong>Warning:</strong> A <b>doubt</b>.</p>" in text
    assert "20 × 30 pixels. At the threshold 0.5: 0 objects." in text


def test_rows_of_the_table_are_rounded_to_four_places():
    result = result_of(blobs((64, 64)), spacing=(0.123456, 0.1))
    facts = facts_of(result)
    table = result.measure()
    assert facts["columns"] == list(table)
    assert len(facts["rows"]) == len(table)
    first = dict(zip(facts["columns"], facts["rows"][0], strict=True))
    assert first["area_mm2"] == round(table.area_mm2[0], 4)
    assert first["area_px"] == table.area_px[0]


def test_a_long_table_is_cut_and_the_page_says_so(monkeypatch):
    """The manifest in the page counts the objects, not the rows shown."""
    result = result_of(blobs((64, 64)))
    count = len(result.measure())
    assert count > 2
    assert "The table below holds" not in page_of(result)

    monkeypatch.setattr("unet_helpers.results.report.MAX_ROWS", count)
    assert "The table below holds" not in page_of(result)

    monkeypatch.setattr("unet_helpers.results.report.MAX_ROWS", 2)
    page = page_of(result)
    assert f"first 2 of {count} rows" in page
    assert f"<dt>objects</dt><dd>{count}</dd>" in page
    assert [row[0] for row in facts_of(result)["rows"]] == [1, 2]
