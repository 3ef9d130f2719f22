"""CPU time of ``segment`` on one core, for one image and each card: the README's column of seconds.

``python tests/benchmarks/seconds.py --data DIR``, on Linux, on an otherwise idle machine. The
images are the shipped samples, and for cards without one the first image of its data set in
DIR/CARD. Prints the median of five runs with the network already loaded, after one run that does
not count.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

import unet_helpers as uh
from unet_helpers.images.image import MedicalImage
from unet_helpers.images.read import read_image
from unet_helpers.training.tasks import TASKS, read_cases

SAMPLES = {
    "retinal_vessels": "retina",
    "artery_vein": "retina",
    "nuclei": "fluorescence",
    "nuclei_he": "he",
    "hippocampus": "hippocampus_mni",
}
RUNS = 5


def image_of(card: str, data: Path) -> MedicalImage:
    """Return the image whose time is measured; of a stack of slices, the middle one."""
    if card in SAMPLES:
        return read_image(uh.sample(SAMPLES[card]))

    image = next(read_cases(card, data / card)).image
    if image.axes == "ZYX":
        return MedicalImage(np.ascontiguousarray(image.pixels[len(image.pixels) // 2]), "YX")
    return image


def seconds_of(card: str, image: MedicalImage) -> float:
    """Return the median CPU time of ``segment`` in seconds."""
    model = uh.load_model(card)
    times = []
    for _ in range(RUNS + 1):
        started = time.process_time()
        uh.segment(image, model, progress=False)
        times.append(time.process_time() - started)
    return float(np.median(times[1:]))


def main() -> None:
    """Print the shape of the image and the seconds of each card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data

    os.sched_setaffinity(0, {0})
    torch.set_num_threads(1)
    for card in TASKS:
        image = image_of(card, data)
        shape = " x ".join(str(side) for side in image.spatial_shape)
        print(f"{card}: {seconds_of(card, image):.2f} s ({shape})", flush=True)


if __name__ == "__main__":
    main()
