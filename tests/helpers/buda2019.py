"""The author's preprocessing of the published network, restated literally, and volumes for it.

After dataset.py and utils.py of github.com/mateuszbuda/brain-segmentation-pytorch, with their names
and without any function of preprocessing/buda2019.py.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage
from skimage.exposure import rescale_intensity
from skimage.transform import resize


def head(shape: tuple[int, int, int], seed: int = 0, dtype: type = np.uint8) -> np.ndarray:
    """(Z, Y, X, 3): an ellipsoid off the centre, three channels that differ, dark noise around."""
    rng = np.random.default_rng(seed)
    centre = np.array(shape) * (0.55, 0.45, 0.52)
    radius = np.array(shape) * (0.4, 0.42, 0.3)
    places = np.moveaxis(np.indices(shape), 0, -1)
    inside = (((places - centre) / radius) ** 2).sum(-1) < 1

    texture = ndimage.gaussian_filter(rng.random((*shape, 3)), (0, 1, 1, 0))
    tissue = (0.3 + texture) * (0.5, 0.9, 0.6)
    air = rng.random((*shape, 3)) * 0.03
    volume = np.where(inside[..., None], tissue, air)
    scale = 200 if np.dtype(dtype).kind in "ui" else 3.7
    return (volume * scale).astype(dtype)


def crop_sample(volume: np.ndarray) -> np.ndarray:
    """Zero what is dark, and cut to the box of the rest."""
    volume[volume < np.max(volume) * 0.1] = 0
    z_nonzero = np.nonzero(np.max(np.max(np.max(volume, axis=-1), axis=-1), axis=-1))
    y_nonzero = np.nonzero(np.max(np.max(np.max(volume, axis=0), axis=-1), axis=-1))
    x_nonzero = np.nonzero(np.max(np.max(np.max(volume, axis=0), axis=0), axis=-1))
    return volume[
        np.min(z_nonzero) : np.max(z_nonzero) + 1,
        np.min(y_nonzero) : np.max(y_nonzero) + 1,
        np.min(x_nonzero) : np.max(x_nonzero) + 1,
    ]


def pad_sample(volume: np.ndarray) -> np.ndarray:
    """Pad the slices to squares."""
    a, b = volume.shape[1:3]
    if a == b:
        return volume
    difference = (max(a, b) - min(a, b)) / 2.0
    padding = (int(np.floor(difference)), int(np.ceil(difference)))
    if a > b:
        return np.pad(volume, ((0, 0), (0, 0), padding, (0, 0)))
    return np.pad(volume, ((0, 0), padding, (0, 0), (0, 0)))


def resize_sample(volume: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resize the slices, as the scikit-image of today does it."""
    return resize(volume, output_shape=shape, order=2, mode="constant", cval=0, anti_aliasing=False)


def resize_sample_2019(volume: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resize the slices, as scikit-image 0.14.2, the author's version, did for four axes."""
    coordinates = []
    for stored, resized in zip(volume.shape, shape):
        coordinates.append(stored / resized * (np.arange(resized) + 0.5) - 0.5)
    grid = np.meshgrid(*coordinates, indexing="ij")
    image = volume / 255
    values = ndimage.map_coordinates(image, grid, order=2, mode="constant", cval=0)
    return np.clip(values, image.min(), image.max())


def normalize_volume(volume: np.ndarray) -> np.ndarray:
    """Rescale between two percentiles, then to mean 0 and standard deviation 1 of each channel."""
    p10 = np.percentile(volume, 10)
    p99 = np.percentile(volume, 99)
    volume = rescale_intensity(volume, in_range=(p10, p99))
    return (volume - np.mean(volume, axis=(0, 1, 2))) / np.std(volume, axis=(0, 1, 2))


def literal(
    slices: np.ndarray, size: int, resized: Callable = resize_sample, drop: bool = True
) -> np.ndarray:
    """All steps, for slices as in the files: (z, 3, size, size) float32."""
    volume = np.array(slices[1:-1] if drop else slices)
    volume = pad_sample(crop_sample(volume))
    volume = resized(volume, (volume.shape[0], size, size, 3))
    volume = normalize_volume(volume)
    return np.stack([image.transpose(2, 0, 1) for image in volume]).astype(np.float32)
