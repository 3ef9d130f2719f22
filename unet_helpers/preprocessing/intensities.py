"""Intensities of an image, slice or volume brought to about 0 to 1."""

import numpy as np

from .channels import IN_COLOUR, remove_brown, select_channels

SAMPLE = 2_000_000  # values that percentiles are taken of: enough, and fast
MAX_RELATIVE_GAIN = 3.0  # of a slice, over that of the volume's brighter slices; air above the head stays dark


def intensity_range(pixels: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """(offset, gain) that bring the ``low`` to ``high`` percentile onto 0 to 1; a constant image becomes 0."""
    values = pixels.reshape(-1)
    values = values[:: max(1, values.size // SAMPLE)].astype(np.float32)
    values = values[np.isfinite(values)]
    bottom, top = np.percentile(values, [low, high]) if values.size else (0.0, 0.0)
    return float(bottom), float(1 / (top - bottom)) if top > bottom else 0.0


def slice_levels(slices: np.ndarray, preprocessing, colour: bool, brown: bool) -> list[tuple[float, float]]:
    """(offset, gain) of each slice of (N, H, W[, C]): those of all slices together, or with 'head' each slice's own.

    A slice beyond the head would then be stretched until its noise is as bright as a brain: gains are bounded.
    """
    channels, percentiles = preprocessing.channels, preprocessing.percentiles
    if preprocessing.intensities == "local":
        return [(0.0, 1.0)] * len(slices)
    if preprocessing.intensities != "head":
        sample = slices
        if colour and (brown or channels not in IN_COLOUR):
            step = slices.size // SAMPLE if brown else slices.size // slices.shape[-1] // SAMPLE
            sample = slices.reshape(-1, slices.shape[-1])[:: max(1, step)]
            sample = remove_brown(sample) if brown else select_channels(sample, channels, colour)
        return [intensity_range(sample, *percentiles)] * len(slices)
    levels = []
    for pixels in (select_channels(pixels, channels, colour) for pixels in slices):
        head = pixels > pixels.min() + 0.05 * np.ptp(pixels)
        levels.append(intensity_range(pixels[head] if head.any() else pixels, *percentiles))
    highest = MAX_RELATIVE_GAIN * float(np.percentile([gain for _, gain in levels if gain] or [0], 25))
    return [(offset, min(gain, highest)) for offset, gain in levels]
