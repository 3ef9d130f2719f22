"""The window that represents an image larger than memory: scale and intensities are found in it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..checks.checks import run_checks
from ..checks.view import View
from ..images.checked import checked
from ..images.image import MedicalImage, noted
from ..networks.cards import ModelCard
from ..networks.engine import INT8_NOTE, engine_of
from ..networks.unet import UNet
from ..preprocessing.intensities import select_channels
from ..preprocessing.prepare import prepare
from ..preprocessing.resample import highest_contrast_window
from ..preprocessing.slices import Prepared
from ..results.intensities import channels_of
from ..results.segmentation import Segmentation
from .large_surroundings import CleanedPixels, without_surroundings
from .scale import choose_zoom, slices_of, working_scale
from .settings import Settings

# px: side of the window that represents the image. The scale and the intensity range are computed
# from it.
WINDOW = 4096


@dataclass(frozen=True, eq=False)
class LargeImage:
    """An image on disk and a window of it in memory."""

    # The pixels (H, W) or (H, W, 3) without what surrounds the image; only what is used is read.
    cleaned: CleanedPixels

    # (H, W) dask arrays to measure, as stored, by the end of the names of columns.
    channels: dict[str, Any]

    # The window of highest contrast inside a frame, with the notes of the whole image.
    window: MedicalImage


@dataclass(frozen=True, eq=False)
class Plan:
    """How an image is segmented, as its window tells."""

    # The result without its probabilities, which stay on disk; its image is the window.
    blank: Segmentation

    # (h, w) of the window in working px.
    shape: tuple[int, int]


def open_window(stored: MedicalImage, network: UNet) -> LargeImage:
    """Read the window of highest contrast of an image on disk, which represents the image."""
    window_pixels = np.asarray(highest_contrast_window(stored.pixels, WINDOW))
    window = checked(replace(stored, pixels=window_pixels, all_channels=None, channel_names=()))
    pixels = stored.pixels
    if window.channels < stored.channels:
        pixels = pixels[..., channels_kept(window_pixels, window)]

    # Alpha, and colours without information, are not measured.
    as_read = replace(stored, pixels=pixels, axes="YXC"[: pixels.ndim])

    cleaned = without_surroundings(pixels, window.pixels, network.card.preprocessing)
    if cleaned.notes:
        inside = np.asarray(highest_contrast_window(cleaned.inside, WINDOW))
        window = noted(window, *cleaned.notes, pixels=inside)

    if max(pixels.shape[:2]) > WINDOW:
        window = noted(
            window,
            f"scale and levels are those of {WINDOW} × {WINDOW} px, where contrast is highest",
        )
    if engine_of(network) == "int8":
        window = noted(window, INT8_NOTE)
    return LargeImage(cleaned=cleaned, window=window, channels=channels_of(as_read))


def channels_kept(pixels: np.ndarray, window: MedicalImage) -> slice | int:
    """Return which channels of the pixels (H, W, C) are left in the checked window."""
    if window.channels == 3:
        return slice(3)  # all but alpha

    equal_channels = [
        channel
        for channel in range(pixels.shape[-1])
        if np.array_equal(pixels[..., channel], window.pixels)
    ]
    return equal_channels[0]


def plan_by_window(window: MedicalImage, network: UNet, choices: Settings) -> Plan:
    """Check the window of an image, and choose the scale by it."""
    card = network.card
    view = View(window)
    chosen = choose_zoom(network, view, choices)
    slices = slices_of(window.pixels[None], window.spacing)
    scale = working_scale(network, slices, index=0, zoom=chosen.zoom)

    blank = Segmentation(
        image=noted(window, *chosen.notes, *scale.notes),
        card=card,
        probabilities=np.zeros((1, 0, 0)),
        threshold=choices.threshold,
        zoom=scale.zoom(window.pixels),
        flips=choices.flips,
        weights_sha256=network.weights_sha256,
        warnings=(*run_checks(view, card), *chosen.warnings, *scale.warnings),
    )
    return Plan(blank, scale.shape)


def prepare_on_disk(large: LargeImage, card: ModelCard, shape: tuple[int, int]) -> Prepared:
    """Prepare an image inside its frame like its window, of the working ``shape`` (h, w)."""
    prepared = prepare(large.window.pixels[None], card.preprocessing, shape)[0]
    inside = large.cleaned.inside
    pixels = select_channels(inside, card.preprocessing.channels, inside.ndim > 2)

    # The window became grey, so its colours are false colours on a dark background: the brightest
    # channel of each pixel is used.
    if pixels.ndim > prepared.pixels.ndim:
        pixels = pixels.max(-1)
    return replace(prepared, pixels=pixels)
