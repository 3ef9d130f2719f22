"""A page of frames works alone: what it marks is in its drawing, and all its texts are text."""

import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from unet_helpers.figures.frames import Frame, framed, mark, page_of_frames, svg_of, webp


@pytest.fixture
def drawing() -> plt.Figure:
    figure, ax = plt.subplots()
    plt.close(figure)
    ax.plot([0, 1], [0, 1], gid=mark("first"))
    ax.axvline(0.5).set_gid(mark("second"))
    ax.axhline(0.5).set_gid(mark("second"))
    return figure


def frame(title: str, brightness: int, part: str) -> Frame:
    picture = webp(np.full((4, 6, 3), brightness, np.uint8))
    return Frame(title, f"text <of> {title}", picture, f"picture of {title}", (part,))


@pytest.fixture
def page(drawing) -> str:
    frames = [frame("A", 0, "first"), frame("B", 255, "second"), frame("C", 255, "first")]
    return page_of_frames("A title", drawing, "Two lines", frames)


def facts_of(page: str) -> dict:
    return json.loads(re.search(r'id="facts">(.*?)</script>', page, re.S)[1])


def test_the_parts_of_a_drawing_are_marked_and_no_id_occurs_twice(drawing):
    svg = svg_of(drawing, "Two lines")
    assert re.findall(r'data-part="(\w+)"', svg) == ["first", "second", "second"]
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(ids) == len(set(ids))


def test_a_drawing_is_described_and_as_wide_as_the_page(drawing):
    svg = svg_of(drawing, 'The "U"')
    assert 'role="img" aria-label="The &quot;U&quot;"' in svg
    start = svg[: svg.index(">")]
    assert "width=" not in start
    assert "viewBox=" in start


def test_the_same_drawing_gives_the_same_file(drawing):
    assert svg_of(drawing, "Two lines") == svg_of(drawing, "Two lines")


def test_frames_that_share_a_picture_store_it_once(page):
    facts = facts_of(page)
    assert [frame["picture"] for frame in facts["frames"]] == [0, 1, 1]
    assert len(facts["pictures"]) == 2


def test_every_part_of_a_frame_is_in_the_drawing(page):
    drawn = set(re.findall(r'data-part="(\w+)"', page))
    assert {part for frame in facts_of(page)["frames"] for part in frame["parts"]} == drawn


def test_all_texts_are_listed_for_those_who_see_no_pictures(page):
    listed = re.search(r"<ol>(.*)</ol>", page, re.S)[1]
    for title in "ABC":
        assert f"<strong>{title}.</strong> text &lt;of&gt; {title}" in listed


def test_the_page_asks_for_nothing_outside_itself(page):
    assert "default-src 'none'" in page
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(address.startswith(("data:", "#")) for address in addresses)


def test_less_motion_is_honoured(page):
    assert re.search(r"@media \(prefers-reduced-motion: reduce\) \{[^}]*transition: none", page)


def test_a_framed_page_is_quoted():
    text = framed('<p class="a">', "a <title>", height=90).data
    assert "height:90px" in text
    assert 'title="a &lt;title&gt;"' in text
    assert 'srcdoc="&lt;p class=&quot;a&quot;&gt;"' in text
