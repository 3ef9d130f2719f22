"""Writes the reference masks beside this file; run it when a card's weights change, and look at what changed."""

import sys
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))

import unet_helpers as uh  # noqa: E402

for sample, card in {"retina.jpg": "retinal_vessels", "ihc.png": "nuclei"}.items():
    result = uh.segment(HERE.parent.parent / "sample_images" / sample, card)
    Image.fromarray(result.labels > 0).save(HERE / f"{card}.png")
