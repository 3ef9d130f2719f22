"""Intensities of objects: mean, standard deviation, lowest, highest and sum of each channel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..images.image import MedicalImage

# The measurements of each object and channel, in the order of the columns of a table.
STATISTICS = ("mean", "sd", "min", "max", "sum")


@dataclass(frozen=True, eq=False)
class IntensitySums:
    """Sums over the finite pixels of each object, (N, C) floats of N objects and C channels."""

    count: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray

    @classmethod
    def of_pixels(cls, index: np.ndarray, values: np.ndarray, objects: int) -> IntensitySums:
        """Sum over pixels: ``index`` (P,) is the object of each, ``values`` (P, C) are its values.

        Values that are not finite are left out.
        """
        channels = [sums_of_channel(index, channel, objects) for channel in values.T]
        sums = np.array(channels, float).reshape(len(channels), 5, objects)
        return cls(*(sums[:, number].T for number in range(5)))

    @classmethod
    def concatenated(cls, parts: Sequence[IntensitySums], channels: int) -> IntensitySums:
        """Put the objects of several parts one after the other."""
        nothing = np.zeros((0, channels))
        names = ("count", "total", "squares", "lowest", "highest")
        columns = [
            np.concatenate([nothing, *(getattr(part, name) for part in parts)]) for name in names
        ]
        return cls(*columns)

    def joined(self, groups: np.ndarray, count: int) -> IntensitySums:
        """Add up the objects in each of ``count`` groups; ``groups`` (N,) counts from 0."""
        channels = self.count.shape[1]

        def added(sums: np.ndarray) -> np.ndarray:
            result = np.zeros((count, channels))
            np.add.at(result, groups, sums)
            return result

        lowest = np.full((count, channels), np.inf)
        highest = np.full((count, channels), -np.inf)
        np.minimum.at(lowest, groups, self.lowest)
        np.maximum.at(highest, groups, self.highest)
        return IntensitySums(
            count=added(self.count),
            total=added(self.total),
            squares=added(self.squares),
            lowest=lowest,
            highest=highest,
        )

    def columns(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return a column (N,) for each channel and statistic; ``names`` are the channels' endings.

        Objects without finite pixels have NaN.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self.total / self.count
            variance = self.squares / self.count - mean**2
        statistics = {
            "mean": mean,
            "sd": np.sqrt(np.maximum(variance, 0)),
            "min": np.where(self.count > 0, self.lowest, np.nan),
            "max": np.where(self.count > 0, self.highest, np.nan),
            "sum": np.where(self.count > 0, self.total, np.nan),
        }
        return {
            f"intensity_{statistic}{name}": statistics[statistic][:, channel]
            for channel, name in enumerate(names)
            for statistic in STATISTICS
        }


def sums_of_channel(index: np.ndarray, values: np.ndarray, objects: int) -> list[np.ndarray]:
    """Return the sums of one channel, (objects,) each, in the order of ``IntensitySums``."""
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        index, values = index[finite], values[finite]
    numbers = values.astype(float)

    lowest = np.full(objects, np.inf)
    highest = np.full(objects, -np.inf)
    np.minimum.at(lowest, index, numbers)
    np.maximum.at(highest, index, numbers)
    return [
        np.bincount(index, minlength=objects).astype(float),
        np.bincount(index, numbers, objects),
        np.bincount(index, numbers**2, objects),
        lowest,
        highest,
    ]


def channels_of(image: MedicalImage) -> dict[str, np.ndarray]:
    """Return each channel, (*spatial), by the end of the names of its columns.

    '' is the image itself; '_1', '_2', '_3' are red, green and blue. '_DAPI' is a channel of the
    file of which the image is one, and '_channel_0' one without a name.
    """
    if image.channels > 1:
        colours = np.moveaxis(image.pixels, -1, 0)
        return {f"_{number}": colour for number, colour in enumerate(colours, 1)}

    channels = {"": image.pixels}
    if image.all_channels is None:
        return channels
    for number, (name, pixels) in enumerate(
        zip(image.channel_names, image.all_channels, strict=True)
    ):
        ending = "_" + (re.sub(r"\s+", "_", name.strip()) or f"channel_{number}")
        if ending in channels:
            ending = f"{ending}_{number}"
        channels[ending] = pixels
    return channels


def intensity_columns(
    index: np.ndarray, places: tuple[np.ndarray, ...], channels: dict[str, np.ndarray], objects: int
) -> dict[str, np.ndarray]:
    """Measure the pixels at ``places``, each of the object ``index`` (P,), 0 to ``objects`` - 1."""
    values = np.column_stack([channel[places] for channel in channels.values()])
    sums = IntensitySums.of_pixels(index, values, objects)
    return sums.columns(list(channels))
