"""The diagram of a network carries the sizes of a real forward pass."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers.networks import make_network
from matplotlib.colors import to_hex
from matplotlib.text import Annotation

import unet_helpers as uh
from unet_helpers.figures.diagram import diagram, operations, place_levels


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 255, (32, 44), dtype=np.uint8)


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def arrows(figure, color: str) -> int:
    annotations = [text for text in figure.axes[0].texts if isinstance(text, Annotation)]
    drawn = [to_hex(annotation.arrow_patch.get_edgecolor()) for annotation in annotations]
    return drawn.count(color.lower())


def test_below_each_block_is_its_size(image):
    drawn = texts(diagram(make_network(), image))
    assert drawn.count("32 × 44") == 2
    assert drawn.count("16 × 22") == 2
    assert drawn.count("8 × 11") == 1


def test_above_each_stack_of_maps_is_their_number(image):
    drawn = texts(diagram(make_network(), image))
    channels = [int(text) for text in drawn if text.isdigit()]
    encoders = [1, 4, 4, 4, 8, 8]
    bottleneck = [8, 16, 16]
    decoders = [16, 8, 8, 8, 4, 4]
    answer = [1]
    assert channels == encoders + bottleneck + decoders + answer


def test_each_operation_has_its_arrows():
    figure = diagram(make_network())
    counts = {name: arrows(figure, color) for name, color in operations(2).items()}
    assert counts == {
        "3 × 3 convolution, ReLU": 10,
        "Copy: skip connection": 2,
        "2 × 2 max pooling": 2,
        "2 × 2 up-convolution": 2,
        "1 × 1 convolution": 1,
    }


def test_levels_lie_below_one_another_and_shrink():
    levels = place_levels(depth=2)
    assert list(levels) == [1, 2, 3]
    assert levels[1].top == 0
    assert levels[1].bottom == -1.7
    assert levels[2].top == pytest.approx(-1.7 - 0.85)
    heights = [level.top - level.bottom for level in levels.values()]
    assert heights[1] / heights[0] == pytest.approx(0.72)
    assert levels[1].middle == pytest.approx(-0.85)


def test_a_network_without_a_card_is_drawn_with_zeros():
    drawn = texts(diagram(uh.UNet(3, 2, features=2, depth=1)))
    assert drawn.count("128 × 128") == 1


def test_image_and_answer_are_shown_where_there_is_an_image(image):
    assert len(diagram(make_network()).axes[0].child_axes) == 0
    assert len(diagram(make_network(), image).axes[0].child_axes) == 2


def test_the_figure_is_returned_closed_so_that_a_cell_shows_it_once():
    diagram(make_network())
    assert not plt.get_fignums()
