"""Many small lesions, as of multiple sclerosis, given to ``brain_flair``, which knows one tumour.

``python tests/benchmarks/scattered_lesions.py --data DIR [--part test]``

Segments the stacks of DIR/brain_flair of one part as they are, and again with the tumour replaced
by the mirrored other side, and 10 to 29 bright ellipses of 2 to 7 px painted into the brain. Prints
for each the Dice, the expected Dice, the number of separate regions and the warnings.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import scipy

sys.path.insert(0, str(Path(__file__).parents[2]))

import unet_helpers as uh
from unet_helpers.training.tasks.brain_flair import read_brains

# Values above this, of 255, are head.
HEAD = 40

# px: the brain is at least so deep in the head, and is wide enough for lesions from so many px on.
SCALP_AND_SKULL = 24
LEAST_BRAIN = 1500

# px: half axes of a lesion.
HALF_AXES = (2, 7)

# Brightness of a lesion above the brain's, as a share of the brain's median.
CONTRAST = (0.5, 1.1)


def without_tumour(pixels: np.ndarray, tumour: np.ndarray) -> np.ndarray:
    """Replace the tumour in a stack (Z, Y, X) by the mirrored other side of the head, float32."""
    healthy = pixels.astype(np.float32)
    tumour = scipy.ndimage.binary_dilation(tumour, iterations=4)
    for index, grey in enumerate(healthy):
        columns = np.flatnonzero((grey > HEAD).any(axis=0))
        if not len(columns):
            continue
        shift = columns[0] + columns[-1] - (grey.shape[1] - 1)
        mirrored = np.roll(grey[:, ::-1], shift, axis=1)
        weight = scipy.ndimage.gaussian_filter(tumour[index].astype(np.float32), 3)
        healthy[index] = grey * (1 - weight) + mirrored * weight
    return healthy


def lesions_in(pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw lesions for a stack (Z, Y, X): their mask, and the brain."""
    heads = [scipy.ndimage.binary_fill_holes(grey > HEAD) for grey in pixels]
    brain = np.stack(
        [scipy.ndimage.binary_erosion(head, iterations=SCALP_AND_SKULL) for head in heads]
    )
    wide = np.flatnonzero(brain.sum(axis=(1, 2)) > LEAST_BRAIN)
    mask = np.zeros(pixels.shape, bool)
    rows, columns = np.indices(pixels.shape[1:])
    for _ in range(rng.integers(10, 30)):
        middle = rng.choice(wide)
        row, column = rng.choice(np.argwhere(brain[middle]))
        angle = rng.uniform(0, np.pi)
        along = (columns - column) * np.cos(angle) + (rows - row) * np.sin(angle)
        across = (rows - row) * np.cos(angle) - (columns - column) * np.sin(angle)
        long, short = rng.uniform(*HALF_AXES, 2)
        radius = (along / long) ** 2 + (across / short) ** 2
        for index, share in ((middle, 1.0), (middle - 1, 0.5), (middle + 1, 0.5)):
            if 0 <= index < len(pixels):
                mask[index] |= radius < share
    return mask, brain


def report(name: str, pixels: np.ndarray, truth: np.ndarray, model: uh.UNet) -> None:
    """Segment a stack and print what was found."""
    result = uh.segment(pixels, model, progress=False)
    mask = result.labels > 0
    _, count = scipy.ndimage.label(mask, np.ones((3, 3, 3)))
    expected = result.expected_dice
    print(
        f"{name}: Dice {uh.dice(truth, mask):.2f}, "
        f"expected {'none' if expected is None else round(expected.value, 2)}, "
        f"{count} regions; {result.warnings}",
        flush=True,
    )


def main(arguments: list[str] | None = None) -> None:
    """Report on the stacks of a part, as they are and with lesions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", default="test", choices=("train", "validation", "test"))
    chosen = parser.parse_args(arguments)

    model = uh.load_model("brain_flair")
    for number, case in enumerate(read_brains(chosen.data / "brain_flair")):
        if case.part != chosen.part:
            continue
        pixels, tumour = case.image.pixels, case.truth > 0
        report(f"{case.name}, as it is", pixels, tumour, model)

        rng = np.random.default_rng(number)
        healthy = without_tumour(pixels, tumour)
        lesions, brain = lesions_in(pixels, rng)
        soft = scipy.ndimage.gaussian_filter(lesions.astype(np.float32), (0, 1, 1))
        painted = healthy + rng.uniform(*CONTRAST) * np.median(healthy[brain]) * soft
        report(f"{case.name}, lesions", np.clip(painted, 0, 255).astype(np.uint8), lesions, model)


if __name__ == "__main__":
    main()
