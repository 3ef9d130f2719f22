"""The box of an image in which something was found."""

import numpy as np
import pytest

from unet_helpers.results.occupied import occupied_box


def test_the_box_holds_all_that_is_not_0():
    values = np.zeros((5, 6, 7), np.float32)
    values[1, 2, 3] = 0.1
    values[3, 4, 3] = -1
    assert occupied_box(values) == (slice(1, 4), slice(2, 5), slice(3, 4))
    assert occupied_box(values.transpose(2, 0, 1)) == (slice(3, 4), slice(1, 4), slice(2, 5))


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_the_box_of_nothing_is_empty_and_that_of_everything_is_all(shape):
    assert np.zeros(shape)[occupied_box(np.zeros(shape))].size == 0
    assert np.ones(shape)[occupied_box(np.ones(shape))].shape == shape
