"""Hippocampi in whole heads: ``python tests/benchmarks/heads.py --data DIR [--heads 11-20] [--true-boxes]``.

Paints T1-like heads from the label maps in DIR/head_labels (FreeSurfer's numbers, 17 the left and 53 the right
hippocampus): tissue means in the order of T1, texture, bias field, pose, voxels of 1 to 2 mm, blur and noise, all drawn
with the head's number as the seed. Prints for each side the Dice against the map, how far the box was off and the
volume found and true; and seconds of processor time, and warnings. FreeSurfer's hippocampus is larger than that of the
Decathlon (alveus, fimbria, subiculum): 0.8 is what to expect. ``--true-boxes`` centres the boxes on the map's instead.
"""

import argparse
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock, patch

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter, zoom
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import unet_helpers as uh
from unet_helpers.images.stack import to_stack

SIDES = {"left": 17, "right": 53}
TISSUES = (  # grey of the mean and how far it varies from head to head, white matter at 1; FreeSurfer's numbers
    (0.02, 0.01, (0, 512)),
    (0.20, 0.06, (4, 5, 14, 15, 24, 43, 44)),  # fluid
    (
        0.60,
        0.05,
        (3, 8, 42, 47, 26, 58, 17, 18, 53, 54),
    ),  # cortex; hippocampus and amygdala are given more below
    (0.68, 0.05, (11, 12, 50, 51)),  # caudate nucleus, putamen
    (0.78, 0.04, (10, 49)),  # thalamus
    (0.87, 0.04, (13, 52, 28, 60, 85)),  # pallidum, ventral diencephalon, chiasm
    (1.00, 0.03, (2, 41, 7, 46)),  # white matter
    (0.92, 0.03, (16,)),  # brainstem
    (0.40, 0.10, (25, 30, 57, 62, 72, 31, 63, 136, 137, 163, 164)),  # vessels, plexus, rests
    (0.55, 0.15, (502, 506, 508, 509, 511, 514, 530)),  # skin, mucosa, sinus
    (0.80, 0.30, (507, 516)),  # fat with muscle, marrow
    (0.12, 0.05, (515,)),  # bone
)
DEEP_CORTEX = 0.04  # hippocampus and amygdala are brighter than cortex by up to twice so much


def paint(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32 greys of a head (X, Y, Z) of labels at 1 mm, without noise."""
    means = np.full(labels.max() + 1, 0.5)
    for mean, spread, numbers in TISSUES:
        level = mean + rng.uniform(-spread, spread)
        for number in numbers:
            means[min(number, len(means) - 1)] = level
    means[[17, 18, 53, 54]] += DEEP_CORTEX * rng.uniform(0, 2)
    texture = gaussian_filter(rng.standard_normal(labels.shape, np.float32), 0.7)
    pixels = means.astype(np.float32)[labels] * (
        1 + rng.uniform(0.02, 0.05) * texture / texture.std()
    )
    field = zoom(
        rng.normal(0, rng.uniform(0.05, 0.15), (4, 4, 4)), np.array(labels.shape) / 4, order=1
    )
    return pixels * np.exp(field).astype(np.float32)


def scan(path: Path, seed: int) -> tuple[uh.MedicalImage, np.ndarray, np.ndarray]:
    """(image, labels of the hippocampi, rotation): a head in the map's orientation, as a scanner would see it."""
    image, rng = uh.read_image(path), np.random.default_rng(seed)
    labels = np.rint(image.pixels).astype(np.int32)
    step = np.array(
        ((1, 1, 1), (1, 1, 1.5), (1.2, 1, 1), (2, 2, 2), (1, 1, 2), (1.5, 1.5, 1.5))[seed % 6]
    )
    step = rng.permutation(step) * rng.uniform(0.9, 1.0, 3).round(2)
    turn = Rotation.from_euler("xyz", rng.uniform(-15, 15, 3), degrees=True).as_matrix()
    shape = tuple(np.ceil(np.array(labels.shape) / step).astype(int))
    matrix = turn * step
    offset = (
        (np.array(labels.shape) - 1) / 2
        + rng.uniform(-8, 8, 3)
        - matrix @ ((np.array(shape) - 1) / 2)
    )
    pixels = gaussian_filter(paint(labels, rng), 0.45 * step)
    pixels = affine_transform(pixels, matrix, offset, shape, order=1, mode="nearest")
    noise = rng.uniform(0.01, 0.04) * rng.standard_normal((2, *shape), np.float32)
    pixels = np.hypot(pixels + noise[0], noise[1]).astype(np.float32) * 700
    truth = np.zeros(shape, np.uint8)
    for number in SIDES.values():
        truth[
            affine_transform(np.float32(labels == number), matrix, offset, shape, order=1) > 0.5
        ] = number
    affine = image.affine @ np.block([[np.diag(step), np.zeros((3, 1))], [np.zeros((1, 3)), 1]])
    return uh.MedicalImage(pixels, "XYZ", tuple(step), affine), truth, turn


def middles(stack: uh.MedicalImage, truth: np.ndarray) -> list[np.ndarray]:
    """The middle (z, y, x) of each side's bounding box in the stack."""
    places = [np.argwhere(truth == number) for number in SIDES.values()]
    return [(where.min(0) + where.max(0)) / 2 for where in places]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--heads", default="11-20", help="first and last of the files, counted from 1"
    )
    parser.add_argument("--true-boxes", action="store_true")
    chosen = parser.parse_args()
    first, last = map(int, chosen.heads.split("-"))
    model, rows = uh.load_model("hippocampus"), []
    for number, path in enumerate(sorted((chosen.data / "head_labels").glob("*.nii.gz")), 1):
        if not first <= number <= last:
            continue
        image, truth, _ = scan(path, number)
        stack, shown = (
            to_stack(image),
            to_stack(uh.MedicalImage(truth, "XYZ", image.spacing, image.affine)).pixels,
        )
        true = middles(stack, shown)
        start = time.process_time()
        at_truth = Mock(return_value=(true, np.eye(3), []))
        with (
            patch("unet_helpers.inference.localise.place_boxes", at_truth)
            if chosen.true_boxes
            else nullcontext()
        ):
            result = uh.segment(image, model, progress=False)
        seconds = time.process_time() - start
        table, words = result.measure(), []
        for (side, value), middle in zip(SIDES.items(), true, strict=True):
            found = np.isin(result.objects, table.loc[table["side"] == side, "object"])
            off = np.linalg.norm((np.array(result.places[side]) - middle) * stack.spacing)
            volumes = [
                np.count_nonzero(mask) * np.prod(stack.spacing) / 1000
                for mask in (found, truth == value)
            ]
            rows.append((uh.dice(truth == value, found), off))
            words.append(
                f"{side} Dice {rows[-1][0]:.3f}, box off {off:4.1f} mm, {volumes[0]:.2f} of {volumes[1]:.2f} mL"
            )
        size = " x ".join(f"{n:.2f}" for n in image.spacing)
        print(
            f"{path.name[:2]} ({size} mm): {'; '.join(words)}; {seconds:.1f} s",
            *result.warnings,
            sep="\n    ",
            flush=True,
        )
    scores, off = np.array(rows).T
    print(
        f"Dice mean {scores.mean():.3f}, least {scores.min():.3f}; box off {off.mean():.1f} mm, at most {off.max():.1f}"
    )


if __name__ == "__main__":
    main()
