"""What comes back: a ``Segmentation`` that can be looked at, measured and saved."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from .cards import ModelCard
from .images import MedicalImage


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """The answer of a network for one image, in the image's own shape and order."""

    image: MedicalImage
    card: ModelCard
    probabilities: np.ndarray  # (K, *spatial) float32; K = 1 yes or no, K > 1 background and classes, summing to 1
    threshold: float  # foreground is where the probability of it reaches this
    zoom: float = 1.0  # working px per image px, as the network saw it
    flips: int = 1  # answers averaged
    weights_sha256: str = ""
    warnings: tuple[str, ...] = ()  # of the input check, before the network ran

    @cached_property
    def labels(self) -> np.ndarray:
        """(*spatial) uint8: 0 background, then the card's classes in their order."""
        labels = np.zeros(self.probabilities.shape[1:], np.uint8)
        for i in range(len(labels)):  # row by row (or slice by slice), so that huge images need no huge copies
            answer = self.probabilities[:, i]
            if len(answer) == 1:
                labels[i] = answer[0] >= self.threshold
            else:
                labels[i] = np.where(1 - answer[0] >= self.threshold, 1 + answer[1:].argmax(0), 0)
        if self.card.smallest_region:
            from .objects import drop_minor

            labels = drop_minor(labels, self.card.smallest_region)
        return labels

    @cached_property
    def objects(self) -> np.ndarray:
        """(*spatial) int32: one id per object, 0 background."""
        from .objects import find_objects

        return find_objects(self.probabilities, self.labels, self.card.separate, self.threshold, self.zoom)

    def explain(self) -> str:
        """Why the answer is empty or full, and what to try; '' where it is neither."""
        foreground = self.probabilities[0] if len(self.probabilities) == 1 else 1 - self.probabilities[0]
        share = np.count_nonzero(self.labels) / self.labels.size
        if 0 < share < 1:
            return ""
        what, low, high = "everything" if share else "nothing", foreground.min(), foreground.max()
        found = f"{what} reaches the threshold {self.threshold:g}: probabilities go from {low:.3g} to {high:.3g}."
        if not share and high > 0:
            found += f" threshold={0.9 * high:.2g} would show something."
        tries = f"is it a {self.card.modality}, with the whole structure in view? zoom=0.5 or zoom=2 may help."
        return " ".join([found, *self.warnings, tries])

    def measure(self):
        """A pandas.DataFrame, one row per object: size and shape in px, and in mm where the spacing is known."""
        from .objects import measure

        return measure(self)

    def confidence(self) -> np.ndarray:
        """(*spatial) float32: the probability of the more likely answer, 0.5 (a guess) to 1 (sure)."""
        foreground = self.probabilities[0] if len(self.probabilities) == 1 else 1 - self.probabilities[0]
        return np.maximum(foreground, 1 - foreground)

    def save(self, folder, *, overwrite: bool = False) -> dict[str, Path]:
        """Write mask, labels, overlay, measurements and a manifest to ``folder``; returns their paths by kind.

        Raises SaveError where a file of an earlier result would be overwritten and ``overwrite`` is False.
        """
        from .save import save

        return save(self, Path(folder), overwrite)

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.image.spatial_shape))
        return f"Segmentation of {self.image.name} by {self.card.name}: {size}, {(self.labels > 0).mean():.1%} found"

    def _repr_png_(self) -> bytes:
        from .plots import overlay_png

        return overlay_png(self)
