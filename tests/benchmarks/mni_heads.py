"""Both hippocampi in the MNI template: ``python tests/benchmarks/mni_heads.py --template FILE``.

FILE is nilearn's ``datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz``, a head of 1 mm. It is resampled to
1, 2 and 0.8 x 0.8 x 1.5 mm, stored in six orientations, turned by 20 degrees, cut to the brain and set in a wide field
of view. Prints both volumes, how far they are from the mean over all heads, seconds of processor time, warnings; and
the peak memory of the process.
"""

import argparse
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import unet_helpers as uh

SPACINGS = {"1 mm": (1, 1, 1), "2 mm": (2, 2, 2), "0.8 x 0.8 x 1.5 mm": (0.8, 0.8, 1.5)}
ORIENTATIONS = ("RAS", "LPS", "LIA", "PIR", "ASL", "SRA")
TURNS = {
    "x": (20, 0, 0),
    "y": (0, 20, 0),
    "z": (0, 0, 20),
    "x, y and z": (20, 20, 20),
}  # degrees, in this order


def resampled(
    pixels: np.ndarray, affine: np.ndarray, spacing, angles=(0, 0, 0), margin=0.0
) -> tuple:
    """(pixels, affine) of the head (X, Y, Z, 1 mm) seen with another ``spacing`` and pose, and ``margin`` mm around."""
    step, turn = (
        np.array(spacing, float),
        Rotation.from_euler("xyz", angles, degrees=True).as_matrix(),
    )
    shape = np.ceil((np.array(pixels.shape) + 2 * margin) / step).astype(int)
    matrix = turn * step
    offset = (np.array(pixels.shape) - 1) / 2 - matrix @ ((shape - 1) / 2)
    soft = gaussian_filter(pixels, 0.4 * np.maximum(step - 1, 0))  # a voxel of 2 mm sees 2 mm
    # a scanner's own axes: the head lies turned in them
    own = np.diag([*step, 1.0])
    own[:3, 3] = -step * (shape - 1) / 2
    return affine_transform(soft, matrix, offset, tuple(shape), order=1), own


def stored(pixels: np.ndarray, affine: np.ndarray, codes: str) -> uh.MedicalImage:
    change = ornt_transform(nib.io_orientation(affine), axcodes2ornt(codes))
    affine, pixels = affine @ inv_ornt_aff(change, pixels.shape), apply_orientation(pixels, change)
    return uh.MedicalImage(
        np.ascontiguousarray(pixels), "XYZ", tuple(nib.affines.voxel_sizes(affine)), affine
    )


def heads(path: Path) -> Iterator[tuple[str, uh.MedicalImage]]:
    file = nib.as_closest_canonical(nib.load(path))
    pixels, affine = np.asarray(file.dataobj).astype(np.float32), file.affine
    where = np.argwhere(pixels > 0.2 * np.percentile(pixels, 99))
    brain = pixels[tuple(slice(a, b + 1) for a, b in zip(where.min(0), where.max(0)))]
    for name, spacing in SPACINGS.items():
        for codes in ORIENTATIONS:
            yield f"{name}, {codes}", stored(*resampled(pixels, affine, spacing), codes)
        for axes, angles in TURNS.items():
            yield (
                f"{name}, 20 degrees about {axes}",
                stored(*resampled(pixels, affine, spacing, angles, 20), "RAS"),
            )
        yield f"{name}, cut to what is bright", stored(*resampled(brain, affine, spacing), "LPS")
        yield (
            f"{name}, 60 mm of air around",
            stored(*resampled(pixels, affine, spacing, margin=60), "LPS"),
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--template", type=Path, required=True)
    rows = []
    for name, image in heads(parser.parse_args().template):
        started = time.process_time()
        result = uh.segment(image, "hippocampus", progress=False)
        spent, found = time.process_time() - started, result.summary()
        volumes = [found.get(f"{side} volume", [0])[0] for side in ("left", "right")]
        rows.append((name, *volumes, spent))
        print(
            f"{name}: left {volumes[0]:.2f}, right {volumes[1]:.2f} mL, {spent:.1f} s; {result.warnings}",
            flush=True,
        )
    volumes = np.array([row[1:3] for row in rows])
    for name, left, right in zip([row[0] for row in rows], *(volumes / volumes.mean(0)).T):
        if max(abs(left - 1), abs(right - 1)) > 0.1:
            print(
                f"more than 10 % from the mean: {name}: left {left - 1:+.0%}, right {right - 1:+.0%}"
            )
    spread = volumes.max(0) / volumes.min(0) - 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    left, right = volumes.mean(0)
    print(
        f"{len(rows)} heads: mean left {left:.2f}, right {right:.2f} mL; largest above smallest",
        end=" ",
    )
    print(
        f"by {spread[0]:.0%}, {spread[1]:.0%}; {np.median([row[3] for row in rows]):.1f} s; {peak:.0f} MiB"
    )


if __name__ == "__main__":
    main()
