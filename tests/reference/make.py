"""Writes the reference masks beside this file; run it when a card's weights change, and look at what changed."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))

import unet_helpers as uh

SAMPLES = {
    "retina.jpg": "retinal_vessels",
    "ihc.png": "nuclei",
    "hippocampus_mni.nii.gz": "hippocampus",
}
folder = HERE.parent.parent / "sample_images"
results = [uh.segment(folder / sample, card) for sample, card in SAMPLES.items()]
for result in results:
    if result.labels.ndim == 2:
        Image.fromarray(result.labels > 0).save(HERE / f"{result.card.name}.png")
    else:
        np.savez_compressed(HERE / f"{result.card.name}.npz", image=result.labels)
