"""The network that Buda, Saha and Mazurowski published (2019), read and used as its author's own code does.

https://github.com/mateuszbuda/brain-segmentation-pytorch: ``dataset.py`` and ``utils.py`` for the way to the network,
``inference.py`` for the way back; Comput. Biol. Med. 109:218, doi:10.1016/j.compbiomed.2019.05.002. All is done per
volume: one threshold, box and pair of percentiles for all slices and channels, one mean and deviation per channel.
"""

from functools import partial

import numpy as np
import torch
from torch.nn.functional import interpolate

from ..images.image import MedicalImage
from ..images.stack import to_stack
from ..networks.cards import Preprocessing
from .field_of_view import box_of
from .slices import Prepared

CHANNELS = ("pre-contrast", "FLAIR", "post-contrast")  # red, green and blue of the training images


def prepare_slices(slices: np.ndarray, preprocessing: Preprocessing) -> list[Prepared]:
    """Slices (Z, Y, X[, 3]) as the published network reads them; grey ones as all three channels.
    Outside the head, and in the first and last slice of a volume of three or more, that method does not look: 0.
    """
    size = slices.shape[1:3]
    prepared = [Prepared(np.zeros(size, np.uint8))] * len(slices)
    if found := prepare_volume(slices if slices.ndim == 4 else slices[..., None], preprocessing):
        volume, (kept, *box) = found
        known = {"limits": (-np.inf, np.inf), "undo": partial(put_back, box=box, shape=size)}
        prepared[kept] = [Prepared(pixels, **known) for pixels in volume]
    return prepared


def put_back(answer: np.ndarray, box, shape: tuple[int, int]) -> np.ndarray:
    """(K, size, size) probabilities of a slice as (K, *shape): bilinear, 0 outside the box of rows and columns."""
    sizes = [part.stop - part.start for part in box]
    square = interpolate(torch.from_numpy(answer)[None], (max(sizes),) * 2, mode="bilinear")[
        0
    ].numpy()
    rows, columns = (
        slice(start := (max(sizes) - n) // 2, start + n) for n in sizes
    )  # as they were padded
    whole = np.zeros((len(answer), *shape), np.float32)
    whole[(slice(None), *box)] = square[:, rows, columns]
    return whole


def prepare_volume(
    volume: np.ndarray, preprocessing: Preprocessing
) -> tuple[np.ndarray, tuple[slice, ...]] | None:
    """(Z, Y, X, 3) or (Z, Y, X, 1) of any dtype as ``dataset.py`` prepares it, (z, size, size, 3) float32, and the
    slices, rows and columns it was cut from; None where there is nothing to see.

    The order matters: the maximum is that of the slices kept, and padding counts in percentiles, means and deviations.
    """
    from skimage.exposure import rescale_intensity

    first = 1 if len(volume) > 2 else 0
    volume = np.nan_to_num(volume[first : len(volume) - first], nan=0, posinf=0, neginf=0)
    volume = volume * (volume >= float(volume.max()) * 0.1)
    z, y, x = box_of(volume.any(-1))
    volume = volume[z, y, x]
    if volume.min() == volume.max():
        return None
    gaps = [max(volume.shape[1:3]) - n for n in volume.shape[1:3]]
    padding = [
        (0, 0),
        *((gap // 2, gap - gap // 2) for gap in gaps),
        (0, 0),
    ]  # to a square; an odd px below or right
    volume = resize_volume(np.pad(volume, padding), preprocessing.size)
    volume = np.broadcast_to(volume, (*volume.shape[:3], 3))
    low, high = np.percentile(
        volume, preprocessing.percentiles
    )  # over all slices and channels together
    if high <= low:
        return None
    volume = rescale_intensity(volume, in_range=(low, high))  # clipped, to 0 to 1
    volume -= volume.mean(axis=(0, 1, 2))
    deviation = volume.std(axis=(0, 1, 2))
    volume /= np.where(deviation > 1e-6, deviation, np.inf)  # a constant channel becomes 0, not NaN
    return volume.astype(np.float32), (slice(z.start + first, z.stop + first), y, x)


def resize_volume(volume: np.ndarray, size: int) -> np.ndarray:
    """(Z, S, S, C) to (Z, size, size, C) float64, with the arguments of the original ``resize_sample``.
    Plane by plane is the same in a thirtieth of the time. Until 0.19 scikit-image, also the 0.14 that the network was
    trained with, took 0 for what lies beyond the last pixel's centre: the outermost row of pixels differs.
    """
    from skimage.transform import resize

    plane = partial(
        resize, output_shape=(size, size), order=2, mode="constant", anti_aliasing=False, clip=False
    )
    planes = np.moveaxis(volume.astype(np.float64), 3, 1)
    resized = np.stack([np.stack([plane(channel) for channel in part], axis=-1) for part in planes])
    return np.clip(resized, 0.0 if resized.min() <= 0 else volume.min(), volume.max())


def check_volume(image: MedicalImage) -> list[str]:
    """Warnings: how an image differs from the volumes of three sequences that the network was trained on."""
    slices = to_stack(image).spatial_shape[0]
    warnings = ["the first and the last slice are answered with 0, as in the published method"]
    if slices < 3:
        count = "a single slice" if slices == 1 else "two slices only"
        warnings = [
            f"{count}: the network was trained on whole volumes, and intensities are scaled over what there is"
        ]
    channels = np.moveaxis(image.pixels, -1, 0) if image.channels > 1 else [image.pixels]
    if all(np.array_equal(channels[0], channel) for channel in channels):
        return [
            *warnings,
            "one channel, read as FLAIR three times: the pre- and post-contrast images are missing",
        ]
    constant = [name for name, channel in zip(CHANNELS, channels) if channel.min() == channel.max()]
    return warnings + [
        f"the {name} channel is constant: there is nothing to see in it" for name in constant
    ]
