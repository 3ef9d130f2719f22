"""'Look inside' of a page, in Chromium: the drawing of the U, sliders and brush, against torch."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.live_pages import MARKS, PATIENCE, give, opened, small_network
from scipy import ndimage

import unet_helpers as uh
from unet_helpers.networks.unet import fold_batch_norm
from unet_helpers.web.graphs import OpenNetwork

pytestmark = MARKS
pytest.importorskip("onnxscript")

# Weights of 16 bits change a probability by less than this.
TOLERANCE = 2e-3

# The pixel that is looked at: row and column of a nucleus.
PIXEL = (200, 300)


@pytest.fixture(scope="module")
def network():
    """The network of the page, whose inside can be seen."""
    return OpenNetwork(fold_batch_norm(small_network())).eval()


@pytest.fixture(scope="module")
def page(browser, pages):
    """The page of a small network that has answered to an image, and was asked for a pixel."""
    page = opened(browser, pages("small"))
    give(page, uh.sample("fluorescence"))
    return page


@pytest.fixture(autouse=True)
def nothing_changed(page):
    """Begin with all controls at rest; nothing may go wrong."""
    for switch in page.locator("#inside-drawing [role=switch][aria-checked=false]").all():
        switch.click()
    controls = {"row": PIXEL[0], "column": PIXEL[1], "zoom": 1, "blur": 0, "noise": 0}
    for name, value in controls.items():
        page.evaluate(set_to(name, value))
    page.evaluate("$('inside-invert').checked = false; clearCover()")
    settle(page)
    yield
    assert page.faults == []


def set_to(name: str, value) -> str:
    return (
        f"$('inside-{name}').value = {value}; $('inside-{name}').dispatchEvent(new Event('input'))"
    )


def settle(page) -> str:
    """Wait until the network has answered to all changes; return what the page says."""
    number = page.evaluate("inside.asked")
    page.wait_for_selector(f"body[data-inside='{number}']", timeout=PATIENCE)
    return page.text_content("#inside-words")


def found(page, name: str) -> np.ndarray:
    """Return a map of the last answer, (h, w)."""
    shape = page.evaluate("[inside.found.view.h, inside.found.view.w]")
    values = page.evaluate(f"Array.from(inside.found.{name})")
    return np.array(values, np.float32).reshape(shape)


@torch.inference_mode()
def outputs_of(network, seen, skips=(1, 1)) -> dict[str, np.ndarray]:
    """Return what torch makes of what the page says that the network sees."""
    image = torch.from_numpy(seen)[None, None]
    channels = torch.zeros(len(network.blocks), dtype=torch.int64)
    values = network(image, torch.tensor(skips, dtype=torch.float32), channels)
    outputs = {name: value.numpy() for name, value in zip(network.output_names, values)}
    return outputs | {"foreground": 1 - outputs["probabilities"][0, 0]}


def test_the_sum_of_the_products_is_the_value_of_the_map(page):
    assert "changes nowhere" in settle(page)
    rows = page.locator("#inside-reasons tbody tr")
    assert rows.count() == 5
    for row in rows.all():
        cells = row.locator("td").all_text_contents()
        total = float(cells[5].split(" ")[0])
        assert float(cells[6]) == pytest.approx(max(0, total), abs=0.011)
        products = [float(word) for word in cells[3].split()]
        assert len(products) == 9
        assert sum(products) == pytest.approx(float(cells[4]), abs=0.05)


def test_a_click_on_the_image_chooses_the_pixel(page):
    page.locator("#planes canvas").click(position={"x": 300, "y": 200})
    settle(page)
    row, column = (int(page.input_value(f"#inside-{name}")) for name in ("row", "column"))
    assert (row, column) != PIXEL
    view = page.evaluate("inside.found.view")
    assert view["at"] == [row, column]


def test_a_click_on_a_block_shows_its_features_at_the_pixel(page, network):
    outputs = outputs_of(network, found(page, "seen"))
    row, column = page.evaluate("inside.found.view.place")
    for block in network.blocks:
        page.locator(f"#inside-drawing [data-block={block.name}]").click()
        page.wait_for_selector(f"body[data-features={block.name}]", timeout=PATIENCE)
        made = outputs[f"made_{block.name}"][0]
        shrink = 2 ** (block.level - 1)
        values = made[:, row // shrink, column // shrink]

        words = page.text_content("#inside-level")
        _, height, width = made.shape
        assert f"level {block.level}: {block.channels} maps of {height} × {width} px" in words
        assert f"of which {(values > 0).sum()} are above 0" in words
        captions = page.locator("#inside-features figcaption").all_text_contents()
        shown = [float(caption.split()[2]) for caption in captions]
        assert shown == pytest.approx(np.sort(values)[::-1][:6].tolist(), abs=0.02)
        chosen = page.locator("#inside-reasons tr.chosen td").first.text_content()
        assert chosen.startswith(f"{block.name} ")


def test_a_click_on_a_skip_connection_switches_it(page, network):
    for level in (1, 2):
        switch = page.locator(f"#inside-drawing [data-skip='{level}']")
        switch.click()
        words = settle(page)
        assert f"Skip connections that are off: {level}." in words
        assert "changes by more than 0.01 in" in words
        assert switch.get_attribute("aria-checked") == "false"
        assert page.locator(f"[data-part=skip{level}].off").count() > 0

        skips = [int(other != level) for other in (1, 2)]
        expected = outputs_of(network, found(page, "seen"), skips)["foreground"]
        np.testing.assert_allclose(found(page, "now"), expected, atol=TOLERANCE)
        switch.click()
        assert "changes nowhere" in settle(page)


@pytest.mark.parametrize("zoom", [0.5, 0.8, 2])
def test_the_zoom_shows_the_image_larger_or_smaller_and_the_answer_follows(page, network, zoom):
    window = found(page, "seen")
    plain = found(page, "now")
    place = np.array(page.evaluate("inside.found.view.place"))
    page.evaluate(set_to("zoom", zoom))
    assert "changes by more than 0.01 in" in settle(page)
    assert page.text_content("#inside-zoom-value") == f"{zoom:.1f} ×"
    seen = found(page, "seen")
    expected = outputs_of(network, seen)["foreground"]
    np.testing.assert_allclose(found(page, "now"), expected, atol=TOLERANCE)

    # Around the pixel, within the window that was seen before; if it shrinks, it is averaged.
    count = int(np.ceil(1 / zoom))
    offsets = ((np.arange(count) + 0.5) / count - 0.5) / zoom
    for name, before in (("seen", window), ("plain", plain)):
        shown = found(page, name)
        for difference in ((0, 0), (7, -20), (-31, 12)):
            row, column = place + np.array(difference) / zoom
            y, x = np.meshgrid(row + offsets, column + offsets, indexing="ij")
            values = ndimage.map_coordinates(before, [y.ravel(), x.ravel()], order=1)
            at = tuple(place + difference)
            assert shown[at] == pytest.approx(values.mean(), abs=TOLERANCE)


@pytest.mark.parametrize(
    "change", [set_to("blur", 4), set_to("noise", 0.3), "$('inside-invert').click()"]
)
def test_blur_noise_and_inversion_change_the_answer(page, network, change):
    page.evaluate(change)
    assert "changes by more than 0.01 in" in settle(page)
    expected = outputs_of(network, found(page, "seen"))["foreground"]
    np.testing.assert_allclose(found(page, "now"), expected, atol=TOLERANCE)


def test_while_the_network_answers_only_the_latest_settings_wait(page):
    counted = """() => {
        window.questions = 0;
        const send = live.worker.postMessage.bind(live.worker);
        live.worker.postMessage = (message) => {
            window.questions += message.type === "look";
            send(message);
        };
        for (let blur = 1; blur <= 8; blur++) {
            $("inside-blur").value = blur;
            $("inside-blur").dispatchEvent(new Event("input"));
        }
    }"""
    page.evaluate(counted)
    settle(page)
    assert page.evaluate("window.questions") == 2
    followed = found(page, "now")
    page.evaluate(set_to("blur", 8))
    settle(page)
    np.testing.assert_array_equal(followed, found(page, "now"))


def paint(page, start, end) -> None:
    """Drag the pointer from a pixel (row, column) of the window to another."""
    canvas = page.locator("#inside-seen")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    height, width = page.evaluate("[inside.found.view.h, inside.found.view.w]")
    for number, (row, column) in enumerate((start, end)):
        x = box["x"] + (column + 0.5) / width * box["width"]
        y = box["y"] + (row + 0.5) / height * box["height"]
        page.mouse.move(x, y, steps=3)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def test_the_brush_covers_what_it_passes_with_the_mean(page, network):
    window = found(page, "seen")
    paint(page, (120, 100), (120, 150))
    settle(page)
    seen, mask = found(page, "seen"), found(page, "mask") > 0
    rows, columns = np.nonzero(mask)
    assert [rows.min(), rows.max()] == pytest.approx([112, 128], abs=1)
    assert [columns.min(), columns.max()] == pytest.approx([92, 158], abs=1)
    assert seen[mask] == pytest.approx(window.mean(), abs=1e-4)
    np.testing.assert_array_equal(seen[~mask], window[~mask])
    expected = outputs_of(network, seen)["foreground"]
    np.testing.assert_allclose(found(page, "now"), expected, atol=TOLERANCE)
    if shots := os.environ.get("SCREENSHOTS"):
        page.locator("#inside").screenshot(path=f"{shots}/page-inside.png")

    page.click("#inside-clear")
    assert "changes nowhere" in settle(page)
    np.testing.assert_array_equal(found(page, "seen"), window)


def test_the_page_tells_how_far_away_a_cover_changes_the_answer(page, network):
    window = found(page, "seen")
    paint(page, (120, 100), (120, 150))
    words = settle(page)
    mask = found(page, "mask") > 0
    distance = ndimage.distance_transform_cdt(~mask, "chessboard")

    # In 64 bits nothing that the receptive field holds is too small to be seen.
    exact = OpenNetwork(fold_batch_norm(small_network())).eval().double()
    answers = []
    for seen in (window, found(page, "seen")):
        with torch.inference_mode():
            answers.append(exact.model(torch.from_numpy(seen.astype(np.float64))[None, None])[0])
    change = (answers[0] - answers[1])[0].abs().numpy()
    visible, whole = (int(distance[change > least].max()) for least in (0.01, 1e-12))
    reach = page.evaluate("inside.found.reach")
    assert reach["visible"] == pytest.approx(visible, abs=1)
    assert visible < reach["whole"] <= whole
    assert whole - reach["whole"] <= 2
    assert reach["isCut"] is False
    assert f"more than 0.01 up to {reach['visible']} px away from it" in words
    assert f"changes at all up to {reach['whole']} px away" in words

    changed = found(page, "changed") > 0
    assert np.mean(changed != (change > 0.01)) < 0.001
    assert "framed in blue" in page.text_content("#inside-change-words")
    blue = page.evaluate(
        """() => {
            const { data } = $("inside-change").getContext("2d").getImageData(0, 0, 256, 256);
            const isBlue = (_, i) => +(data[4 * i] === 86 && data[4 * i + 2] === 233);
            return Array.from({ length: 65536 }, isBlue);
        }"""
    )
    # The rim of the cover and the square of the pixel are drawn over the rim of what changes.
    free = ~ndimage.binary_dilation(mask, iterations=2)
    row, column = page.evaluate("inside.found.view.place")
    free[row - 6 : row + 7, column - 6 : column + 7] = False
    rim = changed & ~ndimage.binary_erosion(changed)
    assert rim[free].any()
    np.testing.assert_array_equal(np.reshape(blue, (256, 256))[free] > 0, rim[free])


def test_the_window_stays_under_the_pointer_while_the_page_tells_more(page):
    canvas = page.locator("#inside-seen")
    canvas.scroll_into_view_if_needed()
    before = canvas.bounding_box()
    page.evaluate("cover([120, 100])")
    settle(page)
    assert canvas.bounding_box() == before


def test_a_cover_at_the_end_of_the_window_may_reach_further(page):
    paint(page, (8, 100), (8, 120))
    assert "It may reach further: the window ends there." in settle(page)


def test_a_cover_stays_on_the_image_if_zoom_or_pixel_change(page):
    paint(page, (100, 140), (100, 140))
    settle(page)
    page.evaluate(set_to("zoom", 2))
    settle(page)
    place = np.array(page.evaluate("inside.found.view.place"))
    centre = np.mean(np.nonzero(found(page, "mask")), axis=1)
    assert centre == pytest.approx(place + 2 * (np.array([100, 140]) - place), abs=1)

    page.evaluate(set_to("zoom", 1))
    page.evaluate(set_to("row", PIXEL[0] + 40))
    settle(page)
    moved = np.mean(np.nonzero(found(page, "mask")), axis=1)
    assert moved == pytest.approx([60, 140], abs=4)


def test_the_keyboard_chooses_switches_and_paints(page):
    page.locator("#inside-drawing [data-block=bottleneck]").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-features=bottleneck]", timeout=PATIENCE)
    pressed = page.locator("#inside-drawing [aria-pressed=true]")
    assert pressed.get_attribute("aria-label") == "Bottleneck, level 3: show its features"

    # The order is that of the computation: the skip connection of level 2 comes before the bottom.
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == (
        "Skip connection of level 2"
    )
    page.keyboard.press(" ")
    assert "Skip connections that are off: 2." in settle(page)
    page.keyboard.press(" ")
    assert "changes nowhere" in settle(page)

    page.locator("#inside-seen").focus()
    place = page.evaluate("inside.found.view.place")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert f"column {place[1] + 20} " in page.get_attribute("#inside-seen", "aria-label")
    page.keyboard.press(" ")
    assert "The cover changes the answer" in settle(page)
    centre = np.mean(np.nonzero(found(page, "mask")), axis=1)
    assert centre == pytest.approx([place[0], place[1] + 20], abs=1)
    page.keyboard.press("Delete")
    assert "changes nowhere" in settle(page)


def test_another_image_begins_without_a_cover(page):
    paint(page, (120, 100), (120, 150))
    settle(page)
    give(page, uh.sample("fluorescence"))
    assert "changes nowhere" in settle(page)
    assert page.evaluate("inside.strokes.length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_is_found_by_axe(browser, pages, scheme):
    package = pytest.importorskip("axe_playwright_python")
    page = opened(browser, pages("small"), color_scheme=scheme, bypass_csp=True)
    give(page, uh.sample("fluorescence"))
    page.evaluate("lookAt(200, 300)")
    page.wait_for_selector("body[data-features]", timeout=PATIENCE)
    page.locator("#inside-drawing [data-skip='1']").click()
    paint(page, (120, 100), (120, 150))
    settle(page)
    page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text("utf-8"))
    violations = page.evaluate("axe.run()")["violations"]
    assert [(v["id"], [n["html"][:100] for n in v["nodes"]]) for v in violations] == []
