"""Small volumes that lie in space, and an answer for one of them."""

from dataclasses import replace

import numpy as np

import unet_helpers as uh


def nifti(pixels, spacing=(1.0, 1.0, 1.0), directions=(1, 1, 1)) -> uh.MedicalImage:
    """A volume as of a NIfTI file; ``directions`` are 1 to the right, front and head, else -1."""
    steps = [step * direction for step, direction in zip(spacing, directions, strict=True)]
    return uh.MedicalImage(pixels, "XYZ", spacing, np.diag([*steps, 1.0]))


def hippocampus_result() -> uh.Segmentation:
    """A box of 8 voxels of the class anterior, and one of 140 voxels of the class posterior."""
    labels = np.zeros((12, 16, 10), np.uint8)
    labels[1:3, 1:3, 1:3] = 1
    labels[5:9, 8:15, 4:9] = 2
    pixels = np.random.default_rng(13).integers(0, 200, labels.shape).astype(np.int16)
    probabilities = np.stack([labels == label for label in range(3)]).astype(np.float32)
    card = replace(uh.MODELS["hippocampus"], min_component_share=0.0)
    image = nifti(pixels, spacing=(1.0, 1.0, 2.0))
    return uh.Segmentation(image, card, probabilities, threshold=0.5)
