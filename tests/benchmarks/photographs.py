"""Which images have the colours of a photograph of something else.

``python tests/benchmarks/photographs.py --data DIR``

Counts them among photographs that come with scikit-image, scikit-learn and matplotlib, and among
their quarters; among the photographs of the skin in DIR/skin_lesions; among all images of
DIR/nuclei and DIR/nuclei_he, whatever their part; among every sixth image of tissue with other dyes
and another white balance; and among fields of fluorescence put together to coloured pictures.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from skimage import data
from sklearn.datasets import load_sample_image

sys.path.insert(0, str(Path(__file__).parents[2]))

import matplotlib
from varied_images import dye_otherwise

import unet_helpers as uh
from unet_helpers.checks.photographs import check_photograph
from unet_helpers.checks.view import View
from unet_helpers.images.arrays import from_array

# The colours of dyes in fluorescence.
HUES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 0]])

# Standard deviation of the logarithm of the gain of a channel, in another white balance.
WHITE_BALANCE = 0.1

# One of so many images of tissue is dyed otherwise.
STEP = 6


def photographs() -> Iterator[np.ndarray]:
    """Yield photographs that come with packages."""
    yield from (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())
    yield from (data.hubble_deep_field(), data.stereo_motorcycle()[0])
    yield from (load_sample_image("china.jpg"), load_sample_image("flower.jpg"))
    samples = Path(matplotlib.get_data_path()) / "sample_data"
    yield uh.read_image(samples / "grace_hopper.jpg").pixels


def quarters(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the four quarters of (H, W, 3)."""
    for half in np.array_split(pixels, 2):
        yield from np.array_split(half, 2, axis=1)


def images_in(folder: Path, pattern: str = "**/*.*") -> Iterator[np.ndarray]:
    """Yield the pixels of the images of a folder."""
    for path in sorted(folder.glob(pattern)):
        yield uh.read_image(path).pixels


def as_bytes(pixels: np.ndarray) -> np.ndarray:
    """Bring values from 0 to 1 to 8 bits."""
    return (255 * np.clip(pixels, 0, 1)).astype(np.uint8)


def dyed_otherwise(folder: Path, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield tissue with other dyes, and with another white balance, from 0 to 1."""
    paths = sorted((folder / "nuclei/images/stained").glob("*"))
    paths += sorted((folder / "nuclei_he/images").glob("*"))
    for path in paths[::STEP]:
        pixels = uh.read_image(path).pixels[..., :3].astype(np.float32) / 255
        for dyed in (pixels, dye_otherwise(pixels, rng)):
            yield as_bytes(dyed)
            yield as_bytes(dyed * np.exp(WHITE_BALANCE * rng.standard_normal(3)))


def merged(folder: Path, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield fields of fluorescence of one size, put together in up to three colours."""
    by_shape: dict[tuple[int, ...], list[np.ndarray]] = {}
    for pixels in images_in(folder / "nuclei/images/fluorescence"):
        grey = pixels.reshape(*pixels.shape[:2], -1).max(axis=-1).astype(np.float32)
        by_shape.setdefault(grey.shape, []).append(grey / max(grey.max(), 1))

    for fields in by_shape.values():
        for field in fields:
            count = int(rng.integers(1, 4))
            others = [fields[rng.integers(len(fields))] for _ in range(count - 1)]
            hues = HUES[rng.permutation(len(HUES))[:count]]
            light = np.stack([field, *others], axis=-1) @ (hues * rng.uniform(0.5, 1, (count, 1)))
            yield as_bytes(light + rng.choice([0, 0.02, 0.1]))


def count(images: Iterator[np.ndarray]) -> str:
    """Say how many of some images count as photographs."""
    card = uh.MODELS["nuclei"]
    found = [bool(check_photograph(View(from_array(pixels)), card)) for pixels in images]
    return f"{sum(found)} of {len(found)}"


def main(arguments: list[str] | None = None) -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args(arguments).data
    rng = np.random.default_rng(0)

    print("photographs:", count(photographs()))
    print("their quarters:", count(part for whole in photographs() for part in quarters(whole)))
    print("the skin:", count(images_in(folder / "skin_lesions", "*/images/*")))
    for kind in ("fluorescence", "stained", "brightfield"):
        print(f"nuclei, {kind}:", count(images_in(folder / "nuclei/images" / kind)))
    print("nuclei_he:", count(images_in(folder / "nuclei_he/images")))
    print("tissue dyed otherwise:", count(dyed_otherwise(folder, rng)))
    print("coloured fluorescence:", count(merged(folder, rng)))


if __name__ == "__main__":
    main()
