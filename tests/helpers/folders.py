"""Folders of images and the file of a small network, for what works on many images."""

from pathlib import Path

import numpy as np
from PIL import Image

import unet_helpers as uh

from .networks import make_network


def draw(path: Path, seed: int = 0, shape: tuple[int, int] = (24, 30)) -> None:
    """Write a noisy grey image, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, shape, np.uint8)
    Image.fromarray(pixels).save(path)


def write_network(folder: Path) -> Path:
    """The path of a small network's file."""
    path = folder / "weights" / "small.safetensors"
    path.parent.mkdir()
    uh.save_model(make_network(), path)
    return path


def write_images(folder: Path) -> Path:
    """Six images in three folders, some of which would have results of the same name.

    Beside them are a text and a hidden file.
    """
    images = folder / "in"
    names = ["x.png", "A1/dapi.png", "A2/dapi.png", "A2/deep/y.png", "a.png", "a.bmp"]
    for seed, name in enumerate(names):
        draw(images / name, seed)
    (images / "readme.txt").write_text("not an image")
    (images / ".hidden.png").write_text("hidden")
    return images


def manifests_in(folder: Path) -> list[str]:
    """The manifests in a folder and its folders, as paths in it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.json"))
