"""The drawing of a network in its page: the diagram, without styles, with its parts."""

import re

import pytest
from helpers.networks import make_network

from unet_helpers.figures.diagram import diagram
from unet_helpers.figures.frames import svg_of
from unet_helpers.web.drawing import drawing_of, without_styles


@pytest.fixture(scope="module")
def drawing():
    return drawing_of(make_network(depth=2))


def test_each_block_and_each_skip_connection_is_a_part(drawing):
    parts = set(re.findall(r'data-part="([^"]+)"', drawing))
    blocks = {"encoder1", "encoder2", "bottleneck", "decoder2", "decoder1"}
    assert blocks | {"skip1", "skip2"} <= parts


def test_it_is_the_diagram_that_exists(drawing):
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", drawing)
    assert texts == re.findall(r"<text[^>]*>([^<]+)</text>", svg_of(diagram(make_network()), "U"))
    assert "256 × 256" in texts


def test_it_has_no_styles_and_may_hold_buttons(drawing):
    assert "style" not in drawing
    assert drawing.startswith("<svg ")
    assert 'role="group"' in drawing
    assert 'role="img"' not in drawing


def test_styles_become_attributes():
    styled = """<path style="fill: none; stroke: #0072b2"/><text style="font-family: 'A B', C">"""
    expected = '<path fill="none" stroke="#0072b2"/><text font-family="&#x27;A B&#x27;, C">'
    assert without_styles(f"<style>*{{}}</style>{styled}") == expected
