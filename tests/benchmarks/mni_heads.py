"""Both hippocampi in the MNI template.

``python tests/benchmarks/mni_heads.py --template FILE``

FILE is nilearn's ``datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz``, a head of
1 mm. It is resampled to 1, 2 and 0.8 x 0.8 x 1.5 mm, stored in six orientations, turned by 20
degrees, cut to the brain and set in a wide field of view.

Prints both volumes, how far they are from the mean over all heads, seconds of processor time,
warnings; and the peak memory of the process.
"""

import argparse
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parents[2]))

import unet_helpers as uh

# mm.
SPACINGS = {
    "1 mm": (1, 1, 1),
    "2 mm": (2, 2, 2),
    "0.8 x 0.8 x 1.5 mm": (0.8, 0.8, 1.5),
}

ORIENTATIONS = ("RAS", "LPS", "LIA", "PIR", "ASL", "SRA")

# Degrees about x, y and z, in this order.
TURNS = {
    "x": (20, 0, 0),
    "y": (0, 20, 0),
    "z": (0, 0, 20),
    "x, y and z": (20, 20, 20),
}

# mm of air around a turned head, so that nothing is cut off, and around one in a wide field of
# view.
MARGIN_OF_TURNED = 20
WIDE_MARGIN = 60

# Share of the 99th percentile above which the head is bright.
BRIGHT = 0.2

# Volumes that differ by more than this share from the mean are printed once more.
NOTABLE = 0.1


def resample(
    pixels: np.ndarray,
    spacing: Sequence[float],
    codes: str,
    angles: Sequence[float] = (0, 0, 0),
    margin: float = 0.0,
) -> uh.MedicalImage:
    """See the head (X, Y, Z, 1 mm, RAS) with another spacing, orientation and pose.

    ``spacing`` and the ``margin`` around are in mm, ``angles`` in degrees; ``codes`` is the
    orientation in which the file is stored.
    """
    step = np.array(spacing, float)
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * step
    size = np.array(pixels.shape)
    shape = np.ceil((size + 2 * margin) / step).astype(int)
    offset = (size - 1) / 2 - matrix @ ((shape - 1) / 2)

    # A voxel of 2 mm sees 2 mm.
    soft = gaussian_filter(pixels, 0.4 * np.maximum(step - 1, 0))
    resampled = affine_transform(soft, matrix, offset, tuple(shape), order=1)

    # The affine has the scanner's own axes: the head lies turned in them.
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = -step * (shape - 1) / 2
    return stored(resampled, affine, codes)


def stored(pixels: np.ndarray, affine: np.ndarray, codes: str) -> uh.MedicalImage:
    """Store a volume in another orientation."""
    change = ornt_transform(nib.io_orientation(affine), axcodes2ornt(codes))
    affine = affine @ inv_ornt_aff(change, pixels.shape)
    pixels = np.ascontiguousarray(apply_orientation(pixels, change))
    return uh.MedicalImage(pixels, "XYZ", tuple(nib.affines.voxel_sizes(affine)), affine)


def heads(path: Path) -> Iterator[tuple[str, uh.MedicalImage]]:
    """Yield all heads that are made of the template, with their names."""
    file = nib.as_closest_canonical(nib.load(path))
    pixels = np.asarray(file.dataobj).astype(np.float32)
    brain = cut_to_bright(pixels)

    for name, spacing in SPACINGS.items():
        for codes in ORIENTATIONS:
            yield f"{name}, {codes}", resample(pixels, spacing, codes)
        for axes, angles in TURNS.items():
            turned = resample(pixels, spacing, "RAS", angles, MARGIN_OF_TURNED)
            yield f"{name}, 20 degrees about {axes}", turned
        yield f"{name}, cut to what is bright", resample(brain, spacing, "LPS")
        in_air = resample(pixels, spacing, "LPS", margin=WIDE_MARGIN)
        yield f"{name}, {WIDE_MARGIN} mm of air around", in_air


def cut_to_bright(pixels: np.ndarray) -> np.ndarray:
    """Cut a head (X, Y, Z) to the box of what is bright."""
    bright = np.argwhere(pixels > BRIGHT * np.percentile(pixels, 99))
    box = tuple(slice(a, b + 1) for a, b in zip(bright.min(0), bright.max(0)))
    return pixels[box]


@dataclass(frozen=True)
class HeadVolumes:
    """What was found in one head."""

    name: str
    left: float  # mL; 0 where none was found
    right: float  # mL
    seconds: float  # processor time


def measure(name: str, image: uh.MedicalImage) -> HeadVolumes:
    """Segment a head, and print what was found."""
    started = time.process_time()
    result = uh.segment(image, "hippocampus", progress=False)
    seconds = time.process_time() - started

    summary = result.summary()
    left, right = (summary.get(f"{side} volume", [0])[0] for side in ("left", "right"))
    print(
        f"{name}: left {left:.2f}, right {right:.2f} mL, {seconds:.1f} s; {result.warnings}",
        flush=True,
    )
    return HeadVolumes(name, left, right, seconds)


def print_summary(rows: Sequence[HeadVolumes]) -> None:
    """Print which heads differ from the mean, the mean, and the peak memory."""
    volumes = np.array([(row.left, row.right) for row in rows])
    for row, (left, right) in zip(rows, volumes / volumes.mean(0)):
        if max(abs(left - 1), abs(right - 1)) > NOTABLE:
            print(
                f"more than {100 * NOTABLE:.0f} % from the mean: {row.name}: "
                f"left {left - 1:+.0%}, right {right - 1:+.0%}"
            )

    left, right = volumes.mean(0)
    largest_above_smallest = volumes.max(0) / volumes.min(0) - 1
    seconds = np.median([row.seconds for row in rows])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(rows)} heads: mean left {left:.2f}, right {right:.2f} mL; largest above smallest "
        f"by {largest_above_smallest[0]:.0%}, {largest_above_smallest[1]:.0%}; "
        f"{seconds:.1f} s; {peak:.0f} MiB"
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure all heads."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--template", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    print_summary([measure(name, image) for name, image in heads(chosen.template)])


if __name__ == "__main__":
    main()
