"""How often ids follow the cells of a movie: ``python tests/benchmarks/links.py --data DIR``.

DIR is the folder of ``dic_cells``. Of each cell of the silver truth that is in two frames, one
after the other, it is counted whether one id covers most of it in both: the ids that link_frames
gives to the truth's own outlines, in all 84 frames, and those of the network's answer to the movie,
in the frames of the test part.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

import unet_helpers as uh
from unet_helpers.images.image import MedicalImage
from unet_helpers.results.tracks import Tracks, link_frames
from unet_helpers.training.tasks.dic_cells import FRAMES_OF_PARTS, SPACING


def right_links(truth: np.ndarray, ids: np.ndarray) -> list[bool]:
    """Return for each cell in two frames of (T, H, W) whether it keeps its id, and has one."""
    right = []
    for i in range(1, len(truth)):
        for cell in np.intersect1d(truth[i - 1], truth[i]):
            if cell > 0:
                before = most_common(ids[i - 1][truth[i - 1] == cell])
                now = most_common(ids[i][truth[i] == cell])
                right.append(before == now > 0)
    return right


def most_common(ids: np.ndarray) -> int:
    """Return the id of most of the pixels."""
    return int(np.bincount(ids).argmax())


def report(name: str, truth: np.ndarray, tracks: Tracks) -> None:
    """Print the share of right links, and the divisions."""
    right = right_links(truth, tracks.ids)
    mothers = len(set(tracks.parents.values()))
    print(
        f"{name}: {sum(right)} of {len(right)} links ({np.mean(right):.1%}), {mothers} divisions, "
        f"{tracks.ids.max()} ids for {np.unique(truth).size - 1} cells"
    )


def main(arguments: list[str] | None = None) -> None:
    """Print how many links are right, of the truth's outlines and of the network's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of dic_cells")
    folder = parser.parse_args(arguments).data

    paths = sorted((folder / "images").glob("*.png"))
    truth = np.stack([uh.read_image(folder / "silver" / path.name).pixels for path in paths])
    report("outlines of the truth, all frames", truth, link_frames(list(truth)))

    first, last = FRAMES_OF_PARTS["test"]
    frames = np.stack([uh.read_image(path).pixels for path in paths[first : last + 1]])
    movie = MedicalImage(frames, "TYX", spacing=(SPACING, SPACING))
    result = uh.segment(movie, "dic_cells", progress=False)
    report("answer, frames of the test part", truth[first : last + 1], result._tracks)


if __name__ == "__main__":
    main()
