"""A page of frames in headless Chromium, offline: buttons, slider, keyboard, motion, barriers."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers.places import CHROMIUM

from unet_helpers.figures.frames import Frame, mark, page_of_frames, webp

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A page of four frames, each with a picture and a line of its own."""
    figure, ax = plt.subplots(figsize=(8, 3))
    plt.close(figure)
    frames = []
    for number in range(4):
        ax.axvline(number, gid=mark(f"line{number}"))
        picture = webp(np.full((40, 60, 3), 60 * number, np.uint8))
        parts = (f"line{number}",)
        frames.append(Frame(f"Frame {number}", "A text.", picture, f"grey {number}", parts))
    path = tmp_path_factory.mktemp("frames") / "page.html"
    path.write_text(page_of_frames("Four frames", figure, "Four lines", frames), "utf-8")
    return path


@pytest.fixture
def page(browser, path):
    """The page, with what goes wrong in its console."""
    context = browser.new_context(viewport={"width": 900, "height": 700}, offline=True)
    page = context.new_page()
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("console", lambda m: page.wrong.append(m.text) if m.type == "error" else None)
    page.goto(path.as_uri())
    yield page
    assert page.wrong == []
    context.close()


def is_at(page, number: int) -> bool:
    """Whether text, picture, slider and drawing all show this frame."""
    here = page.locator(".here").evaluate_all("parts => parts.map(part => part.dataset.part)")
    return (
        page.locator("#title").inner_text() == f"Frame {number}"
        and page.locator("#picture").get_attribute("alt") == f"grey {number}"
        and page.locator("#picture").evaluate("image => image.decode().then(() => true)")
        and page.locator("#frame").input_value() == str(number + 1)
        and set(here) == {f"line{number}"}
    )


def test_buttons_slider_and_keys_go_from_frame_to_frame(page):
    assert is_at(page, 0)
    page.get_by_role("button", name="Next").click()
    assert is_at(page, 1)
    page.get_by_role("button", name="Back").click()
    assert is_at(page, 0)
    assert page.get_by_role("button", name="Back").is_disabled()

    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert is_at(page, 2)
    page.keyboard.press("ArrowLeft")
    assert is_at(page, 1)

    page.locator("#frame").focus()
    page.keyboard.press("ArrowRight")
    assert is_at(page, 2)
    page.keyboard.press("End")
    assert is_at(page, 3)


def test_parts_are_faint_until_their_frame_comes(page):
    page.keyboard.press("ArrowRight")
    visited = page.locator(".visited").evaluate_all("parts => parts.map(p => p.dataset.part)")
    assert set(visited) == {"line0", "line1"}


def test_nothing_moves_before_play_and_pause_ends_it(page):
    page.clock.install()
    page.clock.run_for(20_000)
    assert is_at(page, 0)

    page.keyboard.press("Space")
    assert is_at(page, 1)
    page.clock.run_for(4000)
    assert is_at(page, 2)
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(20_000)
    assert is_at(page, 2)


def test_playing_ends_at_the_last_frame_and_begins_anew(page):
    page.clock.install()
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(60_000)
    assert is_at(page, 3)
    page.get_by_role("button", name="Play").click()
    assert is_at(page, 0)


def test_where_less_motion_is_asked_for_nothing_glides(browser, path):
    durations = {}
    for motion in ("reduce", "no-preference"):
        context = browser.new_context(reduced_motion=motion)
        page = context.new_page()
        page.goto(path.as_uri())
        style = "part => getComputedStyle(part).transitionDuration"
        durations[motion] = page.locator("[data-part]").first.evaluate(style)
        context.close()
    assert durations["reduce"] == "0s"
    assert durations["no-preference"] != "0s"


def test_a_telephone_shows_all_without_scrolling_sideways(browser, path):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.keyboard.press("End")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    # The drawing is wider than the screen; it is scrolled to the part of the frame.
    place = page.locator(".here").first.bounding_box()
    assert 0 <= place["x"] <= 390
    context.close()


def test_no_barrier_is_found_by_axe(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    assert [violation["id"] for violation in found] == []
