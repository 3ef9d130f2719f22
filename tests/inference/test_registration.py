"""The pieces of the registration of a head, on small volumes; SimpleITK only where it is named."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import unet_helpers as uh
from unet_helpers.images.stack import Stack, to_stack
from unet_helpers.inference import registration
from unet_helpers.inference.registration import (
    COARSE,
    Pair,
    Pairs,
    Placement,
    Registration,
    Stage,
    Volume,
    as_itk,
    best_starts,
    candidate_starts,
    mutual_information,
    refine,
    register,
)

# (3, 3) a quarter turn about z: x goes to y, and y to -x.
QUARTER_TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def stack_of(pixels: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Stack:
    """A (Z, Y, X) stack with a spacing in mm, in the same order."""
    return to_stack(uh.MedicalImage(pixels, "ZYX", spacing))


def volume_of(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Volume:
    """An empty volume (Z, Y, X) with a spacing in mm (x, y, z)."""
    return Volume(values=np.zeros(shape), spacing=np.array(spacing))


def pair_with_brain(brain: np.ndarray, image: Volume) -> Pair:
    """An image and a template at 1 mm whose values are the (Z, Y, X) mask of its brain."""
    points = np.argwhere(brain)[:, ::-1] + 0.5
    template = Volume(values=brain.astype(float), spacing=np.ones(3))
    return Pair(template=template, image=image, brain=brain, points=points)


def smooth_head(shift: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
    """(48, 48, 48) float32: a textured ball of 32 px, moved by voxels (z, y, x)."""
    texture = gaussian_filter(np.random.default_rng(0).normal(size=(48, 48, 48)), 2)
    z, y, x = np.mgrid[:48, :48, :48] - 23.5
    ball = z**2 + y**2 + x**2 < 16**2
    head = ball * (0.6 + 0.3 * texture / texture.std()).clip(0.2, 1)
    return np.roll(head, shift, (0, 1, 2)).astype(np.float32)


def test_a_placement_turns_first_and_then_shifts():
    placement = Placement(matrix=QUARTER_TURN, shift=np.array([10.0, 20.0, 30.0]))
    np.testing.assert_allclose(placement.apply(np.array([[1.0, 2.0, 3.0]])), [[8.0, 21.0, 33.0]])


def test_equal_values_have_the_mutual_information_of_their_entropy():
    values = np.array([0.0, 0.0, 0.5, 0.5])
    assert mutual_information(values, values) == pytest.approx(np.log(2))
    assert mutual_information(values, 1 - values) == pytest.approx(np.log(2))


def test_independent_values_have_no_mutual_information():
    template = np.array([0.0, 0.0, 0.9, 0.9])
    image = np.array([0.0, 0.9, 0.0, 0.9])
    assert mutual_information(template, image) == pytest.approx(0)


def test_the_largest_value_falls_into_the_last_of_sixteen_bins():
    template = np.array([1.0, 15.5 / 16, 14.5 / 16, 14.9 / 16])
    image = np.array([0.0, 0.0, 1.0, 1.0])
    assert mutual_information(template, image) == pytest.approx(np.log(2))


def test_a_volume_is_resampled_to_whole_voxels_of_about_the_step():
    pixels = np.zeros((3, 8, 10), np.float32)
    volume = Volume.of(stack_of(pixels, (4.0, 1.0, 2.0)), 3.0)
    assert volume.values.shape == (4, 3, 7)  # of 12, 8 and 20 mm
    np.testing.assert_allclose(volume.spacing, [20 / 7, 8 / 3, 3.0])  # x, y, z


def test_a_volume_has_one_voxel_at_least():
    assert Volume.of(stack_of(np.zeros((1, 2, 8), np.float32)), 8.0).values.shape == (1, 1, 1)


def test_a_volume_goes_from_0_to_1_between_its_percentiles():
    pixels = np.arange(1000, dtype=np.float32).reshape(10, 10, 10)
    values = Volume.of(stack_of(pixels), 1.0).values.ravel()
    low, high = np.percentile(pixels, (1, 99.7))
    np.testing.assert_allclose(values[500], (500 - low) / (high - low), rtol=1e-5)
    assert values[:10].max() == 0
    assert values[-3:].min() == 1


def test_what_is_not_finite_counts_as_nothing():
    pixels = np.ones((4, 4, 4), np.float32)
    pixels[0, 0, 0] = np.nan
    assert Volume.of(stack_of(pixels), 1.0).values[0, 0, 0] == 0


def test_an_empty_volume_stays_0():
    assert not Volume.of(stack_of(np.full((4, 4, 4), 7.0, np.float32)), 1.0).values.any()


def test_the_brain_and_a_margin_of_5_mm_are_compared():
    template = np.zeros((21, 21, 21), np.float32)
    template[9:12, 10, 10] = 1.0
    pair = Pair.at(stack_of(template), stack_of(np.zeros((4, 4, 4), np.float32)), 1.0)
    assert pair.brain[10, 10, 5:16].all()
    assert not pair.brain[10, 10, 4]
    assert not pair.brain[10, 10, 16]
    assert pair.brain[4, 10, 10]
    assert not pair.brain[3, 10, 10]
    np.testing.assert_allclose(pair.brain_centre, [10.5, 10.5, 10.5])


def test_positions_are_mm_from_the_corner_of_the_first_voxel_along_x_y_and_z():
    template = np.zeros((4, 4, 4), np.float32)
    template[1, 2, 3] = 1.0
    still = stack_of(template, (8.0, 8.0, 8.0))
    pair = Pair.at(still, still, 8.0)
    assert [28.0, 20.0, 12.0] in pair.points.tolist()
    assert pair.brain.sum() == 1 + 5  # and its neighbours in the image, x = 4 is outside


def test_information_reads_the_image_where_the_template_is_placed():
    pixels = np.random.default_rng(0).random((12, 12, 12))
    brain = np.zeros((12, 12, 12), bool)
    brain[3:8, 3:8, 3:8] = True
    pair = Pair(
        template=Volume(values=pixels, spacing=np.ones(3)),
        image=Volume(values=np.roll(pixels, (1, 2, 3), (0, 1, 2)), spacing=np.ones(3)),
        brain=brain,
        points=np.argwhere(brain)[:, ::-1] + 0.5,
    )
    there = Placement(matrix=np.eye(3), shift=np.array([3.0, 2.0, 1.0]))
    same = mutual_information(pixels[brain], pixels[brain])
    assert pair.information(there) == pytest.approx(same)
    for shift in ([2.0, 2, 1], [3, 1, 1], [3, 2, 0], [1, 2, 3], [3.5, 2.5, 1.5]):
        other = Placement(matrix=np.eye(3), shift=np.array(shift))
        assert pair.information(other) < 0.9 * same


def test_information_of_every_third_voxel_is_that_of_these():
    pixels = np.random.default_rng(0).random((6, 6, 6))
    whole = Volume(values=pixels, spacing=np.ones(3))
    brain = np.ones((6, 6, 6), bool)
    pair = Pair(template=whole, image=whole, brain=brain, points=np.argwhere(brain)[:, ::-1] + 0.5)
    in_place = Placement(matrix=np.eye(3), shift=np.zeros(3))
    few = pixels.ravel()[::3]
    assert pair.information(in_place, stride=3) == pytest.approx(mutual_information(few, few))


def test_candidates_put_the_brain_on_a_grid_around_the_middle_of_the_image():
    brain = np.zeros((4, 6, 8), bool)
    brain[1, 2, 3] = True
    image = volume_of((130, 100, 160), (1.0, 1.0, 1.0))
    candidates = candidate_starts(pair_with_brain(brain, image), [np.eye(3)])
    centres = np.array([start.apply(np.array([[3.5, 2.5, 1.5]]))[0] for start in candidates])
    # Up to the borders, 80, 50 and 65 mm from the middle, but at most 75, in steps of 16 mm.
    assert np.unique(centres[:, 0]).tolist() == [5 + 16.0 * i for i in range(10)]
    assert np.unique(centres[:, 1]).tolist() == [16.0 * i for i in range(7)]
    assert np.unique(centres[:, 2]).tolist() == [16.0 * i for i in range(9)]
    assert len(candidates) == 10 * 7 * 9


def test_candidates_of_several_rotations_lie_on_a_wider_grid():
    brain = np.zeros((4, 6, 8), bool)
    brain[1, 2, 3] = True
    image = volume_of((20, 20, 300), (1.0, 1.0, 1.0))
    candidates = candidate_starts(pair_with_brain(brain, image), [np.eye(3), QUARTER_TURN])
    centres = np.array([start.apply(np.array([[3.5, 2.5, 1.5]]))[0] for start in candidates])
    # In a wide image the centre is at least 50 mm from the border.
    assert np.unique(centres[:, 0].round(6)).tolist() == [50 + 24.0 * i for i in range(9)]
    assert len(candidates) == 2 * 9
    assert sum((start.matrix == QUARTER_TURN).all() for start in candidates) == 9


def test_candidates_in_a_slab_reach_from_border_to_border():
    brain = np.ones((2, 2, 2), bool)
    pair = pair_with_brain(brain, volume_of((30, 1, 1), (1.0, 1.0, 1.0)))
    starts = candidate_starts(pair, [np.eye(3)])
    centres = [start.apply(pair.points).mean(0).tolist() for start in starts]
    assert centres == [[0.0, 0.0, 0.0], [0.0, 0.0, 16.0]]


def test_a_part_of_the_brain_has_its_share_of_the_information():
    """A quarter that agrees counts less than all of it, and what lies outside is left out."""
    pixels = np.random.default_rng(0).random((8, 8, 8))
    brain = np.ones((8, 8, 8), bool)
    points = np.argwhere(brain)[:, ::-1] + 0.5
    template = Volume(values=pixels, spacing=np.ones(3))
    quarter = Volume(values=pixels[:2], spacing=np.ones(3))
    pair = Pair(template=template, image=quarter, brain=brain, points=points)

    in_place = Placement(matrix=np.eye(3), shift=np.zeros(3))
    inside = pixels[:2].ravel()
    assert pair.coverage(in_place) == 0.25
    assert pair.information(in_place) == pytest.approx(mutual_information(inside, inside) / 4)

    outside = Placement(matrix=np.eye(3), shift=np.array([20.0, 0, 0]))
    assert pair.coverage(outside) == 0
    assert pair.information(outside) == 0


def test_the_information_inside_and_the_scale_of_a_registration():
    placement = Placement(matrix=np.diag([0.5, 0.5, -0.5]), shift=np.zeros(3))
    result = Registration(placement, information=0.2, coverage=0.4)
    assert result.information_inside == pytest.approx(0.5)
    assert result.scale == pytest.approx(0.5)


def test_a_part_of_a_head_is_only_turned_shifted_and_scaled():
    pytest.importorskip("SimpleITK")
    spacing = (4.0, 4.0, 4.0)
    slab = stack_of(smooth_head(shift=(0, 1, 2))[16:32], spacing)
    pair = Pair.at(stack_of(smooth_head(), spacing), slab, 4.0)
    start = Placement(matrix=np.eye(3), shift=np.array([0, 0, -64.0]))
    placement = refine(pair, start, COARSE)

    sizes = np.linalg.svd(placement.matrix, compute_uv=False)
    np.testing.assert_allclose(sizes, sizes.mean(), rtol=1e-6)
    centre = pair.brain_centre[None]
    np.testing.assert_allclose(placement.apply(centre) - centre, [[8.0, 4.0, -64.0]], atol=1)


def test_the_five_best_candidates_are_tried_the_best_last(monkeypatch):
    def by_shift(self: Pair, placement: Placement, stride: int = 1) -> float:
        assert stride == 3
        return -abs(placement.shift[0] - 7)

    monkeypatch.setattr(Pair, "information", by_shift)
    candidates = [Placement(matrix=np.eye(3), shift=np.array([x, 0.0, 0.0])) for x in range(20)]
    pair = pair_with_brain(np.ones((2, 2, 2), bool), volume_of((2, 2, 2), (1.0, 1.0, 1.0)))
    chosen = [int(start.shift[0]) for start in best_starts(pair, candidates)]
    assert len(chosen) == 5
    assert set(chosen) == {5, 6, 7, 8, 9}
    assert chosen[-1] == 7


def test_registration_goes_on_from_the_best_coarse_placement(monkeypatch):
    """The fine stage starts where the coarse one fits best, and its information is the answer's."""
    stages = []
    starts = []

    def unmoved(pair: Pair, start: Placement, stage: Stage) -> Placement:
        stages.append(stage)
        starts.append(start)
        return start

    monkeypatch.setattr(registration, "import_simpleitk", lambda: None)
    monkeypatch.setattr(registration, "refine", unmoved)
    head = np.kron(smooth_head(), np.ones((2, 2, 2), np.float32))
    stack = stack_of(head, (2.0, 2.0, 2.0))
    result = register(Pairs.of(stack, stack), [np.eye(3)])
    assert stages == [registration.COARSE] * 5 + [registration.FINE]
    assert starts[5] is starts[4]  # candidates are sorted, the best last
    np.testing.assert_allclose(result.placement.matrix, np.eye(3))
    fine = Pair.at(stack_of(head, (2.0,) * 3), stack_of(head, (2.0,) * 3), 4.0)
    assert result.information == pytest.approx(fine.information(result.placement))


def test_refining_finds_a_head_that_is_8_mm_away():
    pytest.importorskip("SimpleITK")
    spacing = (4.0, 4.0, 4.0)
    pair = Pair.at(
        stack_of(smooth_head(), spacing), stack_of(smooth_head(shift=(0, 1, 2)), spacing), 4.0
    )
    start = Placement(matrix=np.eye(3), shift=np.zeros(3))
    placement = refine(pair, start, COARSE)
    centre = pair.brain_centre[None]
    np.testing.assert_allclose(placement.apply(centre) - centre, [[8.0, 4.0, 0.0]], atol=0.5)
    assert pair.information(placement) > 2 * pair.information(start)


def test_the_first_voxel_has_its_corner_at_0_mm_for_simpleitk():
    pytest.importorskip("SimpleITK")
    image = as_itk(np.zeros((2, 3, 4)), np.array([1.0, 2.0, 3.0]))
    assert image.GetSize() == (4, 3, 2)
    assert image.GetSpacing() == (1.0, 2.0, 3.0)
    assert image.GetOrigin() == (0.5, 1.0, 1.5)


def test_a_start_outside_of_the_image_is_kept():
    pytest.importorskip("SimpleITK")
    pair = Pair.at(stack_of(smooth_head()), stack_of(smooth_head()), 2.0)
    far = Placement(matrix=np.eye(3), shift=np.array([1000.0, 0.0, 0.0]))
    assert refine(pair, far, COARSE) is far
