"""The network that Buda, Saha and Mazurowski published (2019), read and used as its author's own code does.

https://github.com/mateuszbuda/brain-segmentation-pytorch: ``dataset.py`` and ``utils.py`` for the way from a volume
to the network, ``inference.py`` for the way back; the task is that of Comput. Biol. Med. 109:218,
doi:10.1016/j.compbiomed.2019.05.002. Everything is done per volume, not per slice: one threshold, one box and one
pair of percentiles for all slices and channels together, then one mean and deviation per channel.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate
from tqdm.auto import tqdm

from .cards import ModelCard, Reading
from .errors import ModelError
from .images import MedicalImage
from .stacks import from_stack, to_stack
from .tiles import flip_average
from .unet import UNet

CHANNELS = ("pre-contrast", "FLAIR", "post-contrast")  # red, green and blue of the training images


def read_published(path: Path, card: ModelCard) -> UNet:
    """The card's network with the tensors of a .pt file, a pickle, of which nothing but tensors is read.

    Raises ModelError where the file is missing, damaged, holds anything else than tensors, or other ones.
    """
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling fails in many ways, on files made to break it in any way
        raise ModelError(
            f"{path} is no file of tensors ({type(error).__name__}): missing, damaged, or made to run code. "
            f"Nothing in it was run. Delete it and load {card.name!r} again."
        ) from error
    network = UNet(card.in_channels, card.out_channels, card.features, card.depth)
    try:
        network.load_state_dict(tensors)
    except (RuntimeError, TypeError, AttributeError, ValueError, KeyError) as error:
        words = " ".join(str(error).split())[:200]
        raise ModelError(f"{path} holds another network than {card.name!r}: {words}. Load it again.") from error
    network.card, network.weights_sha256 = card, hashlib.sha256(path.read_bytes()).hexdigest()
    return network.eval()


@dataclass(frozen=True)
class Published:
    """A volume as the published network reads it, and where it was cut from."""

    planes: np.ndarray  # (z, 3, size, size) float32: the slices of ``box``, z-scored
    box: tuple[slice, slice, slice]  # slices, rows and columns of the whole volume
    side: int  # px, of the square around the box's rows and columns
    margins: tuple[int, int]  # px, of padding above and to the left of the box in that square

    def undo(self, answer: np.ndarray) -> np.ndarray:
        """(size, size) probabilities of a slice as (rows, columns) of the box: bilinear, padding cut off."""
        square = interpolate(torch.from_numpy(answer)[None, None], (self.side,) * 2, mode="bilinear")[0, 0].numpy()
        rows, columns = (slice(m, m + b.stop - b.start) for m, b in zip(self.margins, self.box[1:], strict=True))
        return square[rows, columns]


def predict_published(model: UNet, image: MedicalImage, progress: bool = True, flips: int = 1) -> np.ndarray:
    """(1, *image.spatial_shape) float32 probabilities, in the image's own order, voxel for voxel.

    0 where the published method does not look: the first and last slice of a volume, and outside the head. A
    single image is a volume of one slice, none of it dropped; a grey one is read as all three channels
    (``notes_for`` says so). A constant or empty image gets an empty answer, without asking the network.
    """
    volume = to_stack(image).pixels
    volume = volume if image.axes.endswith("C") else volume[..., None]
    volume = volume[None] if image.axes.startswith("Y") else volume
    total = np.zeros((1, *volume.shape[:3]), np.float32)
    prepared = prepare_volume(volume, model.card.reading)
    if prepared is not None:
        inside = total[0][prepared.box]  # a view: what is written here is in ``total``
        quiet = not progress or len(inside) < 4
        for z, planes in enumerate(tqdm(prepared.planes, desc="slices", disable=quiet)):
            inside[z] = prepared.undo(flip_average(model, planes, flips)[0])
    return total[:, 0] if image.axes.startswith("Y") else from_stack(image, total)


def prepare_volume(volume: np.ndarray, reading: Reading) -> Published | None:
    """(Z, Y, X, 3) or (Z, Y, X, 1) of any dtype, as ``dataset.py`` prepares it; None where there is nothing to see.

    The order matters: slices are dropped before the maximum is taken, and intensities rescaled after resizing, so
    that the padding counts in percentiles, means and deviations.
    """
    from skimage.exposure import rescale_intensity

    first = 1 if len(volume) > 2 else 0
    volume = volume[first : len(volume) - first]
    volume = np.nan_to_num(volume, nan=0, posinf=0, neginf=0)
    volume = volume * (volume >= float(volume.max()) * 0.1)
    filled = [np.flatnonzero(volume.any(axis=tuple({0, 1, 2, 3} - {axis}))) for axis in range(3)]
    if filled[0].size == 0:
        return None
    z, y, x = (slice(int(f[0]), int(f[-1]) + 1) for f in filled)
    volume = volume[z, y, x]
    if volume.min() == volume.max():
        return None
    side = max(volume.shape[1:3])
    padding = [((side - n) // 2, (side - n + 1) // 2) for n in volume.shape[1:3]]  # an odd pixel goes below or right
    volume = resize_volume(np.pad(volume, ((0, 0), *padding, (0, 0))), reading.size)
    if volume.shape[-1] == 1:
        volume = np.repeat(volume, 3, axis=-1)
    low, high = np.percentile(volume, reading.percentiles)  # over all slices and channels together
    if high <= low:
        return None
    volume = rescale_intensity(volume, in_range=(low, high))  # clipped, to 0 to 1
    volume -= volume.mean(axis=(0, 1, 2))
    deviation = volume.std(axis=(0, 1, 2))
    volume /= np.where(deviation > 1e-6, deviation, np.inf)  # a constant channel becomes 0, not NaN
    planes, z = np.ascontiguousarray(np.moveaxis(volume, -1, 1), np.float32), slice(z.start + first, z.stop + first)
    return Published(planes, (z, y, x), side, (padding[0][0], padding[1][0]))


def resize_volume(volume: np.ndarray, size: int) -> np.ndarray:
    """(Z, S, S, C) to (Z, size, size, C) float64, with the arguments of the original ``resize_sample``.

    That is one call for all four axes; as slices and channels keep their number, plane by plane gives the same (to
    1e-15) in a thirtieth of the time. Clipped to the volume's own range. scikit-image 0.14, with which the network was
    trained, differs in the outermost row of pixels: until 0.19 it took 0 for what lies beyond the last pixel's centre.
    """
    from skimage.transform import resize

    resized = np.empty((len(volume), size, size, volume.shape[-1]))
    options = {"order": 2, "mode": "constant", "cval": 0, "anti_aliasing": False, "clip": False}
    for z, c in np.ndindex(len(volume), volume.shape[-1]):
        resized[z, :, :, c] = resize(volume[z, :, :, c].astype(np.float64), (size, size), **options)
    low = 0.0 if resized.min() <= 0 else volume.min()
    return np.clip(resized, low, volume.max(), out=resized)


def notes_for(image: MedicalImage) -> tuple[str, ...]:
    """What the reader of an answer should know: how this image differs from what the network was trained on."""
    slices = 1 if image.axes.startswith("Y") else to_stack(image).spatial_shape[0]
    notes = ["the first and the last slice are answered with 0, as in the published method"]
    if slices < 3:
        notes = ["a single slice" if slices == 1 else "two slices only"]
        notes[0] += ": the network was trained on whole volumes, and intensities are scaled over what there is"
    planes = np.moveaxis(image.pixels, -1, 0) if image.channels > 1 else [image.pixels] * 3
    if all(np.array_equal(planes[0], plane) for plane in planes[1:]):
        return (*notes, "one channel, read as FLAIR three times: the pre- and post-contrast images are missing")
    constant = [name for name, plane in zip(CHANNELS, planes, strict=True) if plane.min() == plane.max()]
    return (*notes, *(f"the {name} channel is constant: there is nothing to see in it" for name in constant))
