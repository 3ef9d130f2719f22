"""What comes back: a ``Segmentation`` that can be looked at, measured and saved."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from ..images.image import MedicalImage
from ..images.stack import as_displayed
from ..networks.cards import ModelCard


def foreground_of(probabilities: np.ndarray) -> np.ndarray:
    """(*spatial): the probability of any class but background, of (K, *spatial)."""
    return probabilities[0] if len(probabilities) == 1 else 1 - probabilities[0]


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """The answer of a network for one image, in the image's own shape and order."""

    image: MedicalImage
    card: ModelCard
    probabilities: (
        np.ndarray
    )  # (K, *spatial) float32; K = 1 yes or no, K > 1 background and classes, summing to 1
    threshold: float  # foreground is where the probability of it reaches this
    zoom: float = 1.0  # working px per image px, as the network saw it
    flips: int = 1  # answers averaged
    weights_sha256: str = ""
    warnings: tuple[str, ...] = ()  # of the input check, before the network ran
    spread: np.ndarray | None = (
        None  # (*spatial) standard deviation over the answers averaged; None of a single one
    )
    places: dict[str, tuple[float, ...]] = field(
        default_factory=dict
    )  # of localised structures: voxel as displayed

    @property
    def foreground(self) -> np.ndarray:
        """(*spatial) float32: the probability of any class but background."""
        return foreground_of(self.probabilities)

    @cached_property
    def labels(self) -> np.ndarray:
        """(*spatial) uint8: 0 background, then the card's classes in their order."""
        labels = np.zeros(self.probabilities.shape[1:], np.uint8)
        for i in range(
            len(labels)
        ):  # row by row (or slice by slice), so that huge images need no huge copies
            answer = self.probabilities[:, i]
            classes = 1 if len(answer) == 1 else 1 + answer[1:].argmax(0)
            labels[i] = np.where(foreground_of(answer) >= self.threshold, classes, 0)
        if share := self.card.min_component_share:
            from .objects import drop_small_components

            for volume in labels if self.image.axes.startswith("T") else [labels]:
                volume[:] = drop_small_components(volume, share)
        return labels

    @cached_property
    def objects(self) -> np.ndarray:
        """(*spatial) int32: one id per object from 1 on, without gaps; 0 background."""
        from .objects import find_objects

        return find_objects(self)

    @cached_property
    def expected_dice(self) -> tuple[float, float, float] | None:
        """The Dice that such an answer usually has, and an interval that holds nine in ten; None where not known."""
        from .confidence import expected_dice

        return expected_dice(self)

    def explain(self) -> str:
        """Why the answer is empty, full or unusual, and what to try; '' where it is none of these."""
        share, (least, most) = (
            np.count_nonzero(self.labels) / self.labels.size,
            self.card.usual_share,
        )
        if least < share < most:
            return ""
        if 0 < share < 1:
            usual = f"where {least:.0%} to {most:.0%} are usual: another kind of image, or an inverted one?"
            return f"{share:.1%} of it was found to be {self.card.classes[0]}, {usual} Try pixels.max() - pixels."
        what, low, high = (
            "everything" if share else "nothing",
            self.foreground.min(),
            self.foreground.max(),
        )
        found = f"{what} reaches the threshold {self.threshold:g}: probabilities go from {low:.3g} to {high:.3g}."
        if self.warnings:
            return f"{found} Perhaps this is not what {self.card.name} knows, which is {self.card.modality}."
        if not share and high > self.threshold / 2:
            found += f" threshold={0.9 * high:.2g} would show something."
        found += f" Is it a {self.card.modality}, with the whole structure in view?"
        zooms = (
            self.card.preprocessing.scale != "square" and self.card.preprocessing.method == "slices"
        )
        return found + " zoom=0.5 or zoom=2 may help." * zooms

    def busiest_slice(self) -> int:
        """The displayed slice with most of the structure; the middle one where there is nothing."""
        amounts = np.count_nonzero(as_displayed(self.image, self.labels), axis=(1, 2))
        return int(amounts.argmax()) if amounts.any() else len(amounts) // 2

    def overlay(
        self, index: int | None = None, alpha: float | None = None, contours: bool = True
    ) -> np.ndarray:
        """(H, W, 3) uint8: each class in its colour over slice ``index``, every object outlined in full colour.
        ``alpha`` is 0.35 by default, and 0.9 for vessels, whose colour would be lost on a coloured image.
        """
        from .overlay import paint, picture, slice_of

        index = self.busiest_slice() if index is None else index
        alpha = (0.9 if self.card.measures == "tree" else 0.35) if alpha is None else alpha
        labels = slice_of(self.image, self.labels, index)
        objects = slice_of(self.image, self.objects, index) if contours else None
        return paint(picture(self.image, index), labels, self.card.colors, objects, alpha)

    def measure(self):
        """A pandas.DataFrame, one row per object: size and shape in px, and in µm or mm where the spacing is known."""
        from .measurements import measure

        return measure(self)

    def summary(self) -> dict[str, tuple[float, str]]:
        """The answer in a few named numbers with their units: objects and their sizes, or the vessels' length."""
        from .measurements import summary

        return summary(self)

    def export(self, path, *, overwrite: bool = False) -> Path:
        """Write for another program, by the path's ending: .geojson, .roi.zip, .seg.nrrd, .nii.gz, .dcm (a DICOM
        segmentation of DICOM slices) or .csv. Raises SaveError for another ending, where the file exists and
        ``overwrite`` is False, and where it cannot be written.
        """
        from .exports import export

        return export(self, Path(path), overwrite)

    def report(self, path, *, overwrite: bool = False) -> Path:
        """Write one HTML file that shows all of this result, offline, with a live threshold; errors as ``export``."""
        from .report import write_report

        return write_report(self, Path(path), overwrite)

    def save(
        self, folder, *, formats: tuple[str, ...] = (), overwrite: bool = False
    ) -> dict[str, Path]:
        """Write mask, labels, overlay, measurements and a manifest to ``folder``; returns their paths by kind.

        ``formats`` adds files for other programs by their endings, as in ``export``, and '.html' for the report.
        Raises SaveError where a file of an earlier result would be overwritten and ``overwrite`` is False.
        """
        from .save import save

        return save(self, Path(folder).expanduser(), tuple(formats), overwrite)

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.image.spatial_shape))
        return f"Segmentation of {self.image.name} by {self.card.name}: {size}, {(self.labels > 0).mean():.1%} found"

    def _repr_png_(self) -> bytes:
        from .overlay import png

        return png(self.overlay(), self.image)
