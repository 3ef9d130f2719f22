"""Hippocampi in whole heads.

``python tests/benchmarks/heads.py --data DIR [--heads 11-20] [--true-boxes]``

Paints T1-like heads from the label maps in DIR/head_labels (FreeSurfer's numbers, 17 the left and
53 the right hippocampus): tissue means in the order of T1, texture, bias field, pose, voxels of 1
to 2 mm, blur and noise, all drawn with the head's number as the seed.

Prints for each side the Dice against the map, how far the box was off and the volume found and
true; and seconds of processor time, and warnings. FreeSurfer's hippocampus is larger than that of
the Decathlon (alveus, fimbria, subiculum): 0.8 is what to expect. ``--true-boxes`` centres the
boxes on the map's instead.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter, zoom
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parents[2]))

import unet_helpers as uh
from unet_helpers.images.stack import Stack, to_stack
from unet_helpers.inference.localise import BoxPlacement

# FreeSurfer's numbers of the hippocampi.
SIDES = {"left": 17, "right": 53}


@dataclass(frozen=True)
class Tissue:
    """A tissue in T1: its grey, where white matter is 1, and where it is."""

    mean: float
    # How far the mean varies at most from head to head.
    variation: float
    # FreeSurfer's numbers.
    labels: tuple[int, ...]


AIR = Tissue(0.02, 0.01, (0, 512))
FLUID = Tissue(0.20, 0.06, (4, 5, 14, 15, 24, 43, 44))
# Hippocampus and amygdala, 17, 18, 53 and 54, are made brighter than cortex afterwards.
CORTEX = Tissue(0.60, 0.05, (3, 8, 42, 47, 26, 58, 17, 18, 53, 54))
CAUDATE_AND_PUTAMEN = Tissue(0.68, 0.05, (11, 12, 50, 51))
THALAMUS = Tissue(0.78, 0.04, (10, 49))
PALLIDUM_DIENCEPHALON_CHIASM = Tissue(0.87, 0.04, (13, 52, 28, 60, 85))
WHITE_MATTER = Tissue(1.00, 0.03, (2, 41, 7, 46))
BRAINSTEM = Tissue(0.92, 0.03, (16,))
VESSELS_AND_PLEXUS = Tissue(0.40, 0.10, (25, 30, 57, 62, 72, 31, 63, 136, 137, 163, 164))
SKIN_MUCOSA_SINUS = Tissue(0.55, 0.15, (502, 506, 508, 509, 511, 514, 530))
FAT_AND_MARROW = Tissue(0.80, 0.30, (507, 516))
BONE = Tissue(0.12, 0.05, (515,))

# In the order in which their means are drawn.
TISSUES = (
    AIR,
    FLUID,
    CORTEX,
    CAUDATE_AND_PUTAMEN,
    THALAMUS,
    PALLIDUM_DIENCEPHALON_CHIASM,
    WHITE_MATTER,
    BRAINSTEM,
    VESSELS_AND_PLEXUS,
    SKIN_MUCOSA_SINUS,
    FAT_AND_MARROW,
    BONE,
)

# Grey of what is in no tissue.
OTHER_GREY = 0.5

# Hippocampus and amygdala are brighter than cortex by up to twice so much.
DEEP_CORTEX = [17, 18, 53, 54]
DEEP_CORTEX_GAIN = 0.04

# mm: voxels of the scanners, chosen by the head's number.
VOXELS = (
    (1, 1, 1),
    (1, 1, 1.5),
    (1.2, 1, 1),
    (2, 2, 2),
    (1, 1, 2),
    (1.5, 1.5, 1.5),
)

# Degrees about each axis, and mm along each, by which a head is moved at most.
LARGEST_TURN = 15
LARGEST_SHIFT = 8

# Intensity of a grey of 1 in the image.
WHITE = 700


def paint(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Paint the float32 greys of a head (X, Y, Z) of labels at 1 mm, without noise."""
    means = tissue_means(labels.max() + 1, rng)

    texture = gaussian_filter(rng.standard_normal(labels.shape, np.float32), 0.7)
    contrast = rng.uniform(0.02, 0.05)
    pixels = means.astype(np.float32)[labels] * (1 + contrast * texture / texture.std())

    strength = rng.uniform(0.05, 0.15)
    knots = rng.normal(0, strength, (4, 4, 4))
    bias_field = zoom(knots, np.array(labels.shape) / 4, order=1)
    return pixels * np.exp(bias_field).astype(np.float32)


def tissue_means(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the mean grey of each of ``count`` labels."""
    means = np.full(count, OTHER_GREY)
    for tissue in TISSUES:
        mean = tissue.mean + rng.uniform(-tissue.variation, tissue.variation)
        for label in tissue.labels:
            means[min(label, count - 1)] = mean
    means[DEEP_CORTEX] += DEEP_CORTEX_GAIN * rng.uniform(0, 2)
    return means


@dataclass(frozen=True, eq=False)
class Pose:
    """How a scanner's voxels lie in the label map, whose voxels are 1 mm."""

    spacing: np.ndarray  # (3,) mm
    shape: tuple[int, ...]
    matrix: np.ndarray  # (3, 3) voxels of the map per voxel of the scanner
    offset: np.ndarray  # (3,) voxel of the map at the scanner's first one

    def resample(self, volume: np.ndarray, **options: object) -> np.ndarray:
        """Resample a volume of the map's shape, by linear interpolation."""
        return affine_transform(volume, self.matrix, self.offset, self.shape, order=1, **options)


def draw_pose(shape: tuple[int, ...], number: int, rng: np.random.Generator) -> Pose:
    """Draw how the head of that number, a map of (X, Y, Z) voxels, lies in a scanner."""
    voxel = np.array(VOXELS[number % len(VOXELS)])
    spacing = rng.permutation(voxel) * rng.uniform(0.9, 1.0, 3).round(2)

    angles = rng.uniform(-LARGEST_TURN, LARGEST_TURN, 3)
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing

    size = np.array(shape)
    scanned_size = np.ceil(size / spacing).astype(int)
    middle = (size - 1) / 2 + rng.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, 3)
    offset = middle - matrix @ ((scanned_size - 1) / 2)
    return Pose(spacing, tuple(scanned_size), matrix, offset)


def scan(path: Path, number: int) -> tuple[uh.MedicalImage, np.ndarray]:
    """See a head as a scanner would, in the map's orientation: the image, and its labels.

    ``number`` is the seed. The labels (X, Y, Z) are those of the hippocampi alone.
    """
    label_map = uh.read_image(path)
    labels = np.rint(label_map.pixels).astype(np.int32)
    rng = np.random.default_rng(number)
    pose = draw_pose(labels.shape, number, rng)

    blurred = gaussian_filter(paint(labels, rng), 0.45 * pose.spacing)
    pixels = add_noise(pose.resample(blurred, mode="nearest"), rng)

    truth = np.zeros(pose.shape, np.uint8)
    for label in SIDES.values():
        truth[pose.resample(np.float32(labels == label)) > 0.5] = label

    affine = label_map.affine @ np.diag([*pose.spacing, 1])
    return uh.MedicalImage(pixels, "XYZ", tuple(pose.spacing), affine), truth


def add_noise(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add Rician noise to greys, and bring them to the intensities of an image, float32."""
    strength = rng.uniform(0.01, 0.04)
    real, imaginary = strength * rng.standard_normal((2, *pixels.shape), np.float32)
    return np.hypot(pixels + real, imaginary).astype(np.float32) * WHITE


@dataclass(frozen=True)
class SideScore:
    """How well one hippocampus was found."""

    side: str
    dice: float
    box_off: float  # mm
    volume: float  # mL
    true_volume: float  # mL

    def __str__(self) -> str:
        return (
            f"{self.side} Dice {self.dice:.3f}, box off {self.box_off:4.1f} mm, "
            f"{self.volume:.2f} of {self.true_volume:.2f} mL"
        )


def middles(truth: Stack) -> list[np.ndarray]:
    """Return the middle (z, y, x) of each side's bounding box in the stack."""
    all_middles = []
    for label in SIDES.values():
        voxels = np.argwhere(truth.pixels == label)
        all_middles.append((voxels.min(0) + voxels.max(0)) / 2)
    return all_middles


def score(result: uh.Segmentation, truth: np.ndarray, stack_of_truth: Stack) -> list[SideScore]:
    """Score both sides; ``truth`` (X, Y, Z) is in the image's order."""
    table = result.measure()
    spacing = np.array(stack_of_truth.spacing)
    voxel_volume = np.prod(spacing) / 1000

    scores = []
    for (side, label), middle in zip(SIDES.items(), middles(stack_of_truth), strict=True):
        is_side = np.isin(result.objects, table.loc[table["side"] == side, "object"])
        is_truth = truth == label
        side_score = SideScore(
            side=side,
            dice=uh.dice(is_truth, is_side),
            box_off=float(np.linalg.norm((np.array(result.places[side]) - middle) * spacing)),
            volume=np.count_nonzero(is_side) * voxel_volume,
            true_volume=np.count_nonzero(is_truth) * voxel_volume,
        )
        scores.append(side_score)
    return scores


def measure_head(path: Path, number: int, model: uh.UNet, true_boxes: bool) -> list[SideScore]:
    """Segment a head, and print how well its hippocampi were found."""
    image, truth = scan(path, number)
    stack_of_truth = to_stack(uh.MedicalImage(truth, "XYZ", image.spacing, image.affine))

    with placing_boxes_at_truth(stack_of_truth) if true_boxes else nullcontext():
        started = time.process_time()
        result = uh.segment(image, model, progress=False)
        seconds = time.process_time() - started

    scores = score(result, truth, stack_of_truth)
    size = " x ".join(f"{step:.2f}" for step in image.spacing)
    sides = "; ".join(str(side_score) for side_score in scores)
    print(
        f"{path.name[:2]} ({size} mm): {sides}; {seconds:.1f} s",
        *result.warnings,
        sep="\n    ",
        flush=True,
    )
    return scores


def placing_boxes_at_truth(stack_of_truth: Stack) -> AbstractContextManager[object]:
    """Centre boxes on the map's hippocampi, in place of the registration."""
    placement = BoxPlacement(centres=middles(stack_of_truth), directions=np.eye(3))
    return patch("unet_helpers.inference.localise.place_boxes", return_value=placement)


def chosen_heads(folder: Path, heads: str) -> Iterator[tuple[int, Path]]:
    """Yield number and file of the heads from '11-20', counted from 1."""
    first, last = map(int, heads.split("-"))
    for number, path in enumerate(sorted(folder.glob("*.nii.gz")), 1):
        if first <= number <= last:
            yield number, path


def print_summary(scores: Sequence[SideScore]) -> None:
    """Print means over all sides of all heads."""
    dices = np.array([side_score.dice for side_score in scores])
    box_off = np.array([side_score.box_off for side_score in scores])
    print(
        f"Dice mean {dices.mean():.3f}, least {dices.min():.3f}; "
        f"box off {box_off.mean():.1f} mm, at most {box_off.max():.1f}"
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure the chosen heads."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    heads_help = "first and last of the files, counted from 1"
    parser.add_argument("--heads", default="11-20", help=heads_help)
    parser.add_argument("--true-boxes", action="store_true")
    chosen = parser.parse_args(arguments)

    model = uh.load_model("hippocampus")
    scores: list[SideScore] = []
    for number, path in chosen_heads(chosen.data / "head_labels", chosen.heads):
        scores += measure_head(path, number, model, chosen.true_boxes)
    print_summary(scores)


if __name__ == "__main__":
    main()
