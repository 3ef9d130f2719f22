"""``segment(image, model)``: from any image and a network to a ``Segmentation``."""

import numpy as np
from tqdm.auto import tqdm

from .checks import check_input
from .hub import notes_for, predict_published
from .images import MedicalImage, read_image
from .models import load_model
from .prepare import field_of_view, neighbours, prepare_slice, select_channels, slice_levels, width_of
from .result import Segmentation
from .scale import zoom_for_objects
from .stacks import from_stack, to_stack
from .tiles import predict
from .unet import UNet


def segment(
    image,
    model="retinal_vessels",
    *,
    threshold: float | None = None,
    flips: int | None = None,
    zoom: float | None = None,
    progress: bool = True,
) -> Segmentation:
    """Segment an image (path, array or MedicalImage) with a network (name or UNet of ``load_model``).

    ``threshold`` (0 to 1) and ``flips`` (1, 2, 4 or 8 answers averaged) replace the card's own; ``zoom`` (working
    px per image px) replaces the scale found from the image. ``progress`` shows a bar where it takes longer.
    Raises ImageError for a file that is no image, ModelError and DownloadError for the network.
    """
    image, model = read_image(image), load_model(model)
    flips = model.card.flips if flips is None else flips
    warnings = tuple(check_input(image, model.card))
    if model.card.reading.planes == "published":
        probabilities = predict_published(model, image, progress, flips)
        warnings += notes_for(image)
    elif image.axes in ("YX", "YXC"):
        shape = working_shape(image.pixels, zoom, model)
        prepared = prepare_slice(image.pixels, model.card.reading, shape)
        probabilities = predict(model, prepared, image.spatial_shape, flips, progress)
        zoom = shape[0] / image.spatial_shape[0]
    else:
        probabilities = predict_volume(model, image, flips, zoom, progress)
    threshold = model.card.threshold if threshold is None else threshold
    found = (threshold, zoom or 1.0, flips, model.weights_sha256, warnings)
    return Segmentation(image, model.card, probabilities, *found)


def working_shape(pixels: np.ndarray, zoom: float | None, model: UNet) -> tuple[int, int]:
    """(h, w) in working px of an (H, W) or (H, W, 3) slice: the scale at which the network was trained."""
    reading, (height, width) = model.card.reading, pixels.shape[:2]
    if reading.scale == "square":
        return reading.size, reading.size
    zooms = (1.0, 1.0)
    if zoom is not None:
        zooms = (zoom, zoom)
    elif reading.scale == "field of view":
        zooms = (reading.size / width_of(field_of_view(select_channels(pixels, reading.channels))),) * 2
    elif reading.scale == "objects":
        zooms = (zoom_for_objects(model, pixels),) * 2
    return max(1, round(height * zooms[0])), max(1, round(width * zooms[1]))


def predict_volume(model: UNet, image: MedicalImage, flips: int, zoom: float | None, progress: bool) -> np.ndarray:
    """(K, *spatial) float32: each slice on its own, along one axis or the average over all three."""
    reading = model.card.reading
    stack = to_stack(image)  # (Z, Y, X[, C]), top anterior, left the patient's right
    axes = (0, 1, 2) if reading.planes == "three" else (0,)
    total = np.zeros((model.out_channels, *stack.spatial_shape), np.float32)
    bar = tqdm(total=sum(stack.spatial_shape[axis] for axis in axes), desc="slices", disable=not progress)
    for axis in axes:
        slices, answers = np.moveaxis(stack.pixels, axis, 0), np.moveaxis(total, axis + 1, 1)
        shape, levels = working_shape(slices[len(slices) // 2], zoom, model), slice_levels(slices, reading)
        for i, pixels in enumerate(slices):
            prepared = prepare_slice(pixels, reading, shape, levels[i], neighbours(slices, i, reading))
            answers[:, i] += predict(model, prepared, pixels.shape[:2], flips) / len(axes)
            bar.update()
    bar.close()
    return from_stack(image, total)
