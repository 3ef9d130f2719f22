"""The nuclei on a slide larger than memory are counted exactly.

``python tests/benchmarks/large.py [SIDE] [CLUSTERS]``

A process of its own counts them; its time and peak memory are printed.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.slides import CLUSTER, write_slide

ROOT = Path(__file__).parents[2]

# px: where four blocks of the slide meet, one cluster lies on them.
MEETING_POINT = (1800, 1800)

# The peak is read from /proc, since that of the resource module is the parent's, too.
COUNT_NUCLEI = """
import sys, time
import unet_helpers as uh
start = time.perf_counter()
table = uh.segment_large(sys.argv[1], "nuclei", sys.argv[2], flips=1, progress=False)
spent = time.perf_counter() - start
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
gibibytes = int(peak.split()[1]) / 2**20
print(f"{len(table)} objects in {spent:.0f} s, peak memory {gibibytes:.2f} GiB")
"""


def corners_of_clusters(side: int, clusters: int) -> np.ndarray:
    """Draw the (N, 2) top left corners of clusters, none on another but at the meeting point."""
    rng = np.random.default_rng(1)
    corners = rng.integers(0, (side - CLUSTER) // CLUSTER, (clusters, 2)) * CLUSTER
    return np.unique(np.vstack([corners, [MEETING_POINT]]), axis=0)


def main(arguments: list[str] | None = None) -> None:
    """Write the slide, and have its nuclei counted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("side", type=int, nargs="?", default=30000, help="px (default: 30000)")
    parser.add_argument("clusters", type=int, nargs="?", default=40, help="default: 40")
    chosen = parser.parse_args(arguments)

    corners = corners_of_clusters(chosen.side, chosen.clusters)
    with TemporaryDirectory() as folder:
        slide = Path(folder) / "slide.tif"
        nuclei = write_slide(slide, chosen.side, corners.tolist())
        megabytes = slide.stat().st_size / 1e6
        print(
            f"{chosen.side} x {chosen.side} px with {nuclei} nuclei in {len(corners)} clusters, "
            f"{megabytes:.0f} MB",
            flush=True,
        )
        command = [sys.executable, "-c", COUNT_NUCLEI, str(slide), f"{folder}/out"]
        subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
