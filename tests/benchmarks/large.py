"""A slide larger than memory: ``python tests/benchmarks/large.py [SIDE] [CLUSTERS]``; the nuclei on it are counted
exactly by a process of its own, whose time and peak memory are told."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from helpers.slides import CLUSTER, write_slide

WORK = """
import sys, time
import unet_helpers as uh
start = time.perf_counter()
table = uh.segment_large(sys.argv[1], "nuclei", sys.argv[2], flips=1, progress=False)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # not the parent's
held = int(peak.split()[1]) / 2**20
print(f"{len(table)} objects in {time.perf_counter() - start:.0f} s, peak memory {held:.2f} GiB")
"""

if __name__ == "__main__":
    side, clusters = (int(value) for value in (sys.argv[1:] + ["30000", "40"][len(sys.argv) - 1 :]))
    random = np.random.default_rng(1)
    corners = (
        random.integers(0, (side - CLUSTER) // CLUSTER, (clusters, 2)) * CLUSTER
    )  # none on another
    corners = np.unique(np.vstack([corners, [[1800, 1800]]]), axis=0)  # one where four blocks meet
    with TemporaryDirectory() as folder:
        count = write_slide(Path(folder) / "slide.tif", side, corners.tolist())
        held = (Path(folder) / "slide.tif").stat().st_size / 1e6
        print(
            f"{side} x {side} px with {count} nuclei in {len(corners)} clusters, {held:.0f} MB",
            flush=True,
        )
        command = [sys.executable, "-c", WORK, f"{folder}/slide.tif", f"{folder}/out"]
        subprocess.run(command, cwd=Path(__file__).parents[2], check=True)
