"""Shapes of all objects together are those of scikit-image, which measures them one by one."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.measure import label, regionprops_table

from unet_helpers.results.shapes import degrees_from_rows, flat_shapes

PROPERTIES = (
    "label",
    "area",
    "centroid",
    "bbox",
    "equivalent_diameter_area",
    "eccentricity",
    "solidity",
    "perimeter",
    "axis_major_length",
    "axis_minor_length",
    "orientation",
)


@pytest.mark.parametrize("seed", range(12))
def test_shapes_of_any_objects_are_those_of_scikit_image(seed):
    """Objects of single pixels, with holes, at edges, in pieces, touching; ids with gaps."""
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.random((50, 70)), rng.uniform(0.1, 3))
    ids = label(noise > np.quantile(noise, rng.uniform(0.3, 0.9)), connectivity=1 + seed % 2)
    if seed % 3 == 0:
        ids[ids % 3 == 0] = 0
    if seed % 4 == 0:
        ids = ids // 2
    ids = ids.astype(np.int32)
    expected = regionprops_table(ids, properties=PROPERTIES)
    found = flat_shapes(ids)
    assert set(found) == set(expected)
    assert_same_directions(found.pop("orientation"), expected.pop("orientation"), found)
    for name, column in expected.items():
        np.testing.assert_allclose(found[name], column, atol=1e-6, err_msg=name)


def assert_same_directions(found, expected, shapes):
    """Of round objects, and of axes along the columns, the angle may be either of two."""
    has_direction = shapes["axis_major_length"] > shapes["axis_minor_length"] + 1e-6
    turned = np.exp(2j * found[has_direction])
    np.testing.assert_allclose(turned, np.exp(2j * expected[has_direction]), atol=1e-6)


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 150])
def test_the_angle_counts_from_the_rows_counter_clockwise(degrees):
    angle = np.deg2rad(degrees)
    y, x = np.mgrid[-60:61, -60:61]
    along = x * np.cos(angle) - y * np.sin(angle)
    across = x * np.sin(angle) + y * np.cos(angle)
    bar = (abs(along) < 50.5) & (abs(across) < 5.5)
    (found,) = degrees_from_rows(flat_shapes(bar.astype(np.int32))["orientation"])
    assert min(abs(found - degrees), 180 - abs(found - degrees)) < 0.5


def test_without_objects_the_columns_are_empty():
    found = flat_shapes(np.zeros((5, 6), np.int32))
    assert set(found) == set(regionprops_table(np.eye(3, dtype=int), properties=PROPERTIES))
    assert all(len(column) == 0 for column in found.values())
