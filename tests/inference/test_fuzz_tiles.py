"""Thousands of ways to cut an axis into tiles (Hypothesis)."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from unet_helpers.inference.tiles import spans

pytestmark = pytest.mark.slow

# More tiles take too long to look at.
MOST_TILES = 400


@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@given(length=st.integers(1, 5000), tile=st.floats(2, 3000), share=st.floats(0, 1))
def test_tiles_cover_every_pixel_once(length, tile, share):
    """Shares sum to 1, no tile is larger than asked for, and none leaves a gap."""
    overlap = share * (tile - 1)
    assume(length / (tile - overlap) < MOST_TILES)
    total = np.zeros(length)
    for span in spans(length, tile, overlap):
        place = span.place
        assert place.start >= 0
        assert len(span.weights) == place.stop - place.start <= np.ceil(tile)
        total[place] += span.weights
    np.testing.assert_allclose(total, 1, atol=1e-4)
