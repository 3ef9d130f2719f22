"""Random DICOM series, in any order, damaged: every slice lies where SimpleITK or its file says."""

from tempfile import TemporaryDirectory

import numpy as np
import pytest
from helpers.files import dicom
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import unet_helpers as uh

angles = st.one_of(st.sampled_from([0.0, 90.0, 180.0]), st.floats(-60, 60))
steps = st.floats(0.3, 7).map(lambda value: round(value, 3))


@st.composite
def series(draw):
    """Slices (N, H, W), positions (N, 3) in mm, the orientation, the spacing in a slice."""
    shape = draw(st.integers(3, 7)), draw(st.integers(2, 6)), draw(st.integers(2, 6))
    turn = Rotation.from_euler("xyz", [draw(angles) for _ in range(3)], degrees=True).as_matrix()
    shear = draw(st.sampled_from([0.0, 0.0, 0.3]))  # a tilted gantry
    across = (turn[:, 2] + shear * turn[:, 1]) * draw(steps)
    start = np.array([draw(st.floats(-200, 200)) for _ in range(3)])
    pixels = (
        np.random.default_rng(draw(st.integers(0, 99))).integers(1, 900, shape).astype(np.uint16)
    )
    positions = start + np.arange(shape[0])[:, None] * across
    return pixels, positions.round(6), turn[:, :2].T.ravel().round(9), (draw(steps), draw(steps))


def write(folder, made, order, copies=()):
    pixels, positions, orientation, spacing = made
    for number, i in enumerate([*order, *copies]):
        dicom(
            pixels[i],
            ImagePositionPatient=positions[i].tolist(),
            ImageOrientationPatient=orientation.tolist(),
            PixelSpacing=list(spacing),
            SeriesInstanceUID="1.2.3",
        )(f"{folder}/{number:03}.dcm")


def places_of(image) -> np.ndarray:
    """(N, 3) mm, DICOM's left, back and head: of each slice's first voxel."""
    return np.array(
        [(image.affine @ [0, 0, k, 1])[:3] * [-1, -1, 1] for k in range(len(image.pixels))]
    )


@settings(max_examples=60, deadline=None)
@given(series(), st.randoms(use_true_random=False))
def test_a_whole_series_lies_where_simpleitk_says(made, random):
    sitk = pytest.importorskip("SimpleITK")
    pixels, positions, _, spacing = made
    order = list(range(len(pixels)))
    random.shuffle(order)
    with TemporaryDirectory() as folder:
        write(folder, made, order)
        image = uh.read_image(folder)
        theirs = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(folder))
    np.testing.assert_array_equal(image.pixels, sitk.GetArrayFromImage(theirs))
    np.testing.assert_allclose(image.spacing[1:], spacing, rtol=1e-6)
    for voxel in (
        (0, 0),
        (pixels.shape[2] - 1, 0),
        (0, pixels.shape[1] - 1),
    ):  # ITK's own third axis has no shear
        place = np.array(theirs.TransformIndexToPhysicalPoint((*voxel, 0))) * [-1, -1, 1]
        np.testing.assert_allclose((image.affine @ [*voxel, 0, 1])[:3], place, atol=1e-3)
    np.testing.assert_allclose(places_of(image), positions, atol=1e-3)
    row, column = np.reshape(made[2], (2, 3)) * np.array(spacing)[::-1, None]
    assert image.voxel_volume == pytest.approx(
        abs(np.cross(row, column) @ (positions[1] - positions[0])), rel=1e-3
    )


@settings(max_examples=60, deadline=None)
@given(series(), st.data())
def test_a_damaged_series_keeps_its_places_or_is_refused(made, data):
    pixels, positions, *_ = made
    count = len(pixels)
    lost = data.draw(st.sets(st.integers(1, count - 2), max_size=count - 2))
    twice = data.draw(
        st.lists(st.integers(0, count - 1).filter(lambda i: i not in lost), max_size=2)
    )
    order = data.draw(st.permutations([i for i in range(count) if i not in lost]))
    with TemporaryDirectory() as folder:
        write(folder, made, order, twice)
        try:
            image = uh.read_image(folder)
        except uh.ImageError as error:
            message = str(error)
            assert "not evenly spaced" in message
            assert lost
            return
    notes = " ".join(image.notes)
    assert (f"{len(twice)} repeated" in notes) == bool(twice)
    places = places_of(image)
    for (
        i
    ) in order:  # each slice that was given lies where its file says, whatever is missing between
        distance = np.linalg.norm(places - positions[i], axis=1)
        assert distance.min() < 1e-3
        assert (image.pixels[distance.argmin()] == pixels[i]).all()
    if len(image.pixels) > len(order):
        assert f"{len(image.pixels) - len(order)} slice" in notes
        assert "missing" in notes
