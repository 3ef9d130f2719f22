"""Writes the reference masks beside this file.

Run it when a card's weights change, and look at what changed in the masks.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

import unet_helpers as uh

HERE = Path(__file__).parent
SAMPLE_IMAGES = HERE.parents[1] / "sample_images"

SAMPLES = {
    "retina.jpg": "retinal_vessels",
    "ihc.png": "nuclei",
    "hippocampus_mni.nii.gz": "hippocampus",
}


def write_reference(result: uh.Segmentation) -> None:
    """Write the mask of an image as PNG, the labels of a volume as a compressed NumPy file."""
    path = HERE / result.card.name
    if result.labels.ndim == 2:
        Image.fromarray(result.labels > 0).save(path.with_suffix(".png"))
    else:
        np.savez_compressed(path.with_suffix(".npz"), image=result.labels)


if __name__ == "__main__":
    for sample, card in SAMPLES.items():
        write_reference(uh.segment(SAMPLE_IMAGES / sample, card))
