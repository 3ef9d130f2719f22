"""Shapes of objects that are found block by block are those of the whole image."""

import numpy as np
import pytest
from helpers.networks import make_network
from scipy.ndimage import gaussian_filter

import unet_helpers as uh
from unet_helpers.inference import large_objects
from unet_helpers.inference.large_objects import find_objects_by_blocks
from unet_helpers.inference.large_shapes import ShapeSums
from unet_helpers.results.proportions import SQUARE
from unet_helpers.results.segmentation import Segmentation

SHAPES = (
    "eccentricity",
    "solidity",
    "perimeter_px",
    "axis_major_length_px",
    "axis_minor_length_px",
)


def blobs(seed: int) -> np.ndarray:
    """(1, 90, 130) probabilities: components of all sizes, some through several blocks."""
    noise = gaussian_filter(np.random.default_rng(seed).random((90, 130)), 2)
    return (noise > np.quantile(noise, 0.6))[None].astype(np.float32)


def by_blocks(result: Segmentation, monkeypatch, side: int):
    """The table of a result, and its objects, found in blocks of this side."""
    pytest.importorskip("dask.array")
    monkeypatch.setattr(large_objects, "BLOCK", side)
    monkeypatch.setattr(large_objects, "HALO", 8)
    labels = np.zeros(result.labels.shape, np.uint8)
    objects = np.zeros(result.labels.shape, np.int32)
    channels = {"": result.image.pixels}
    numbers, table = find_objects_by_blocks(result, result.probabilities, labels, objects, channels)
    return table, numbers[objects]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("side", [16, 37, 500])
def test_shapes_by_blocks_are_those_of_measure(seed, side, monkeypatch):
    image = uh.MedicalImage(np.zeros((90, 130), np.uint8), "YX", spacing=(0.0005, 0.0005))
    card = make_network(1).card
    result = Segmentation(image, card, blobs(seed), threshold=0.5)
    table, objects = by_blocks(result, monkeypatch, side)
    whole = result.measure()
    assert len(table) == len(whole) > 20

    # The numbers of the objects may be others.
    pairs = np.unique(np.stack([objects, result.objects])[:, objects > 0], axis=1)
    assert pairs.shape[1] == len(table)
    table = table.set_index("object").loc[pairs[0]].reset_index()
    whole = whole.set_index("object").loc[pairs[1]].reset_index()
    for name in SHAPES:
        np.testing.assert_allclose(table[name], whole[name], rtol=1e-6, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(table["perimeter_um"], whole["perimeter_um"])
    np.testing.assert_allclose(table["axis_major_length_um"], whole["axis_major_length_um"])
    assert (table["touches_edge"] == whole["touches_edge"]).all()

    is_long = whole["axis_major_length_px"] > whole["axis_minor_length_px"] + 1e-6
    turn = np.deg2rad(table["orientation_deg"] - whole["orientation_deg"])[is_long]
    np.testing.assert_allclose(np.cos(2 * turn), 1, atol=1e-6)
    assert set(whole) == set(table)


def test_of_pixels_that_are_not_square_the_perimeter_is_left_out():
    mask = np.zeros((40, 40), np.int32)
    mask[5:15, 5:25] = 1
    whole = (slice(0, 40), slice(0, 40))
    sums = ShapeSums.of_block(mask, 1, inner=whole, core=whole)
    joined = ShapeSums.of_all_blocks([sums], np.array([0]), 1)
    stretched = joined.columns_of_table((40, 40), proportions=(2**0.5, 0.5**0.5))
    assert "perimeter_px" in joined.columns_of_table((40, 40), proportions=SQUARE)
    assert "perimeter_px" not in stretched
    # Ten rows of twice the height, and twenty columns, are a square.
    assert stretched["axis_major_length_px"] == pytest.approx(
        stretched["axis_minor_length_px"], rel=0.01
    )


def test_without_objects_the_columns_are_empty():
    sums = ShapeSums.of_all_blocks([], np.zeros(0, int), 0)
    columns = sums.columns_of_table((5, 6), SQUARE)
    assert all(len(column) == 0 for column in columns.values())


def test_positions_far_from_the_origin_lose_no_digits():
    """Of a slide of 200,000 px, the second moments are differences of large sums."""
    bar = np.zeros((30, 30), np.int32)
    bar[10:14, 3:27] = 1
    inner = (slice(0, 30), slice(0, 30))
    tables = []
    for start in (0, 200_000):
        core = (slice(start, start + 30), slice(start, start + 30))
        sums = ShapeSums.of_block(bar, 1, inner, core)
        joined = ShapeSums.of_all_blocks([sums], np.array([0]), 1)
        tables.append(joined.columns_of_table((300_000, 300_000), SQUARE))
    for name in SHAPES:
        assert tables[1][name] == pytest.approx(tables[0][name], abs=1e-2), name
