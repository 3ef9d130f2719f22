"""``Answer``: labels, masks and objects of a result, as they follow from its probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ArgumentError
from ..images.image import MedicalImage
from ..images.stack import as_displayed
from ..networks.cards import ModelCard
from .labels import foreground_of, labels_of, masks_of

if TYPE_CHECKING:
    from .by_hand import ByHand
    from .tracks import Tracks


class Answer:
    """What was found in an image, and where. ``Segmentation`` says what its fields are."""

    image: MedicalImage
    card: ModelCard
    probabilities: np.ndarray
    threshold: float
    zoom: float
    places: Mapping[str, tuple[float, ...]]
    by_hand: ByHand | None

    @property
    def foreground(self) -> np.ndarray:
        """Probability of any class but background: float32, (*spatial)."""
        return foreground_of(self.probabilities, self.card.overlapping)

    @cached_property
    def labels(self) -> np.ndarray:
        """Class of each pixel: uint8, (*spatial); 0 is background, then the card's classes.

        Components smaller than the card's share of the largest one are dropped, except where each
        structure was found in its own box. Where classes overlap, the one that comes last on the
        card is shown: `mask` has all of each.
        """
        return labels_of(self)

    def mask(self, name: str) -> np.ndarray:
        """Return the mask of a class.

        Parameters
        ----------
        name : str
            One of the card's classes.

        Returns
        -------
        numpy.ndarray
            bool, (*spatial). Masks exclude each other, except those of a card whose classes
            overlap.

        Raises
        ------
        ArgumentError
            The card has no such class.

        Examples
        --------
        >>> import unet_helpers as uh
        >>> result = uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
        >>> interior = result.mask("interior")
        >>> interior.dtype.name, bool((result.labels[interior] == 1).all())
        ('bool', True)
        """
        if name not in self.card.classes:
            raise ArgumentError(
                f"{self.card.name} has no class {name!r}: choose from "
                f"{', '.join(self.card.classes)}."
            )
        return self._masks[self.card.classes.index(name)]

    @cached_property
    def _masks(self) -> list[np.ndarray]:
        """The mask of each class, in the card's order."""
        return masks_of(self)

    @property
    def objects(self) -> np.ndarray:
        """Instance ids: int32, (*spatial); 0 is background, then 1, 2, ... without gaps."""
        return self._tracks.ids

    @cached_property
    def _tracks(self) -> Tracks:
        """The ids, which may follow objects through time, and which objects divided."""
        from .objects import find_objects

        return find_objects(self)

    @cached_property
    def _layers(self) -> list[np.ndarray]:
        """The objects in layers without overlap: see `find_layers`."""
        from .objects import find_layers

        return find_layers(self)

    def busiest_slice(self) -> int:
        """Return the index of the slice with most of the structure.

        Returns
        -------
        int
            The index as displayed, from 0; that of the middle slice if nothing was found.

        Examples
        --------
        >>> import unet_helpers as uh
        >>> result = uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
        >>> result.busiest_slice()
        0
        """
        amounts = np.count_nonzero(as_displayed(self.image, self.labels), axis=(1, 2))
        if not amounts.any():
            return len(amounts) // 2
        return int(amounts.argmax())
