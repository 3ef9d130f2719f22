"""Preprocessing and its inverse for the published network of Buda, Saha and Mazurowski (2019).

The paper is Comput. Biol. Med. 109:218, doi:10.1016/j.compbiomed.2019.05.002, the code
https://github.com/mateuszbuda/brain-segmentation-pytorch: ``dataset.py`` and ``utils.py`` prepare
the images, ``inference.py`` puts the answers back. Everything is computed per volume: one
threshold, box and pair of percentiles for all slices and channels, one mean and standard deviation
per channel.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.nn.functional import interpolate

from ..images.image import MedicalImage
from ..images.stack import to_stack
from ..networks.cards import Preprocessing
from .field_of_view import box_of
from .slices import Prepared

# The MRI sequences in the red, green and blue channels of the training images.
CHANNELS = ("pre-contrast", "FLAIR", "post-contrast")

# Voxels below this share of the maximum become 0: ``crop_sample`` in the author's utils.py.
DARK_SHARE = 0.1

# A channel counts as constant if its standard deviation is not above this; values are from 0 to 1.
MIN_DEVIATION = 1e-6


@dataclass(frozen=True)
class PreparedVolume:
    """A volume as the published network reads it, and the box of the stored volume it is from."""

    pixels: np.ndarray  # (z, size, size, 3) float32
    slices: slice  # of the stored volume, as are the next two
    rows: slice
    columns: slice


def prepare_slices(slices: np.ndarray, preprocessing: Preprocessing) -> list[Prepared]:
    """Prepare slices (Z, Y, X[, 3]) as the published network reads them; grey as three channels.

    The published method skips the first and the last slice of a volume of three or more, and all
    outside the head's box. The answer there is 0.
    """
    shape = slices.shape[1:3]
    prepared = [Prepared(np.zeros(shape, np.uint8))] * len(slices)
    with_channels = slices if slices.ndim == 4 else slices[..., None]
    volume = prepare_volume(with_channels, preprocessing)
    if volume is None:
        return prepared

    undo = partial(put_back, rows=volume.rows, columns=volume.columns, shape=shape)
    unlimited = (-np.inf, np.inf)
    prepared[volume.slices] = [
        Prepared(pixels, limits=unlimited, undo=undo) for pixels in volume.pixels
    ]
    return prepared


def put_back(answer: np.ndarray, rows: slice, columns: slice, shape: tuple[int, int]) -> np.ndarray:
    """Resize a slice's probabilities (K, size, size) into the box; return (K, *shape).

    Interpolates bilinearly. Outside the box all is 0.
    """
    height = rows.stop - rows.start
    width = columns.stop - columns.start
    side = max(height, width)
    square = interpolate(torch.from_numpy(answer)[None], (side, side), mode="bilinear")[0].numpy()

    # ``pad_to_square`` had padded the box on both sides.
    top = (side - height) // 2
    left = (side - width) // 2
    whole = np.zeros((len(answer), *shape), np.float32)
    whole[:, rows, columns] = square[:, top : top + height, left : left + width]
    return whole


def prepare_volume(volume: np.ndarray, preprocessing: Preprocessing) -> PreparedVolume | None:
    """Prepare (Z, Y, X, 3) or (Z, Y, X, 1) of any dtype as ``dataset.py`` does.

    Returns None if the volume is constant. The order of the steps matters: the maximum is that of
    the slices that are kept, and the padding is included in percentiles, means and standard
    deviations.
    """
    from skimage.exposure import rescale_intensity

    first = 1 if len(volume) > 2 else 0
    volume = np.nan_to_num(volume[first : len(volume) - first], nan=0, posinf=0, neginf=0)
    volume = volume * (volume >= float(volume.max()) * DARK_SHARE)
    slices, rows, columns = box_of(np.any(volume, axis=-1))
    volume = volume[slices, rows, columns]
    if volume.min() == volume.max():
        return None

    volume = resize_volume(pad_to_square(volume), preprocessing.size)
    volume = np.broadcast_to(volume, (*volume.shape[:3], 3))
    # Over all slices and channels together.
    low, high = np.percentile(volume, preprocessing.percentiles)
    if high <= low:
        return None

    # Scales to 0 to 1 and clips.
    volume = rescale_intensity(volume, in_range=(low, high))
    volume -= volume.mean(axis=(0, 1, 2))
    deviation = volume.std(axis=(0, 1, 2))
    # A constant channel becomes 0, not NaN.
    volume /= np.where(deviation > MIN_DEVIATION, deviation, np.inf)

    kept = slice(slices.start + first, slices.stop + first)
    return PreparedVolume(volume.astype(np.float32), slices=kept, rows=rows, columns=columns)


def pad_to_square(volume: np.ndarray) -> np.ndarray:
    """Pad (Z, Y, X, C) with 0 to a square, on both sides; an odd row or column at the end."""
    side = max(volume.shape[1:3])
    row_gap, column_gap = (side - n for n in volume.shape[1:3])
    padding = [
        (0, 0),
        (row_gap // 2, row_gap - row_gap // 2),
        (column_gap // 2, column_gap - column_gap // 2),
        (0, 0),
    ]
    return np.pad(volume, padding)


def resize_volume(volume: np.ndarray, size: int) -> np.ndarray:
    """Resize (Z, S, S, C) to (Z, size, size, C) float64, as the author's ``resize_sample``.

    Resizing plane by plane gives the same values in a thirtieth of the time. The outermost pixels
    differ from the author's: his scikit-image 0.14, as all before 0.19, used 0 beyond the centre of
    the last pixel.
    """
    from skimage.transform import resize

    shape = (len(volume), size, size, volume.shape[3])
    resized = np.empty(shape, np.float64)
    for index in np.ndindex(shape[0], shape[3]):
        z, channel = index
        resized[z, :, :, channel] = resize(
            volume[z, :, :, channel].astype(np.float64),
            output_shape=(size, size),
            order=2,
            mode="constant",
            anti_aliasing=False,
            clip=False,
        )

    # Splines overshoot, so values are clipped to the range of the input. 0, used beyond the border,
    # belongs to that range if the result reaches it, as in the original's clipping.
    lowest = 0.0 if resized.min() <= 0 else volume.min()
    return np.clip(resized, lowest, volume.max())


def check_volume(image: MedicalImage) -> list[str]:
    """Return warnings about differences from the training volumes of three MRI sequences."""
    slice_count = to_stack(image).spatial_shape[0]
    if slice_count < 3:
        count = "a single slice" if slice_count == 1 else "two slices only"
        warnings = [
            f"{count}: the network was trained on whole volumes, "
            "and intensities are scaled over what there is"
        ]
    else:
        warnings = ["the first and the last slice are answered with 0, as in the published method"]

    channels = [image.pixels]
    if image.channels > 1:
        channels = list(np.moveaxis(image.pixels, -1, 0))
    if all(np.array_equal(channels[0], channel) for channel in channels):
        warnings.append(
            "one channel, read as FLAIR three times: the pre- and post-contrast images are missing"
        )
        return warnings

    for name, channel in zip(CHANNELS, channels, strict=False):
        if channel.min() == channel.max():
            warnings.append(f"the {name} channel is constant: there is nothing to see in it")
    return warnings
