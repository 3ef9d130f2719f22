"""Where the structures of a card lie in a template, and which parts every image shows of them."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .validation import check_types, require


@dataclass(frozen=True)
class ExpectedParts:
    """The parts of a structure that an image shows: an answer with others is implausible.

    Parameters
    ----------
    name
        What one part is called: ``"lung"``.
    classes
        Classes of the card that together make the parts; empty: all of them.
    count
        How many parts a slice shows; 0: unknown, as in a crop.
    least_share
        Smaller parts do not count: (area or volume of a part) / (that of the largest), 0 to 1.
    least_texture
        Parts with less texture do not count, as they are blank: (median of the absolute Laplacian
        of the greys in a part) / (that of the part with most), 0 to 1.
    most
        How many connected parts a stack, or a single slice, shows at most; 0: any number. Given
        instead of ``count``.
    volumes
        Smallest and largest volume of a part, in mL; checked if ``count`` is 0 and the spacing is
        known.
    """

    name: str
    classes: tuple[str, ...] = ()
    count: int = 0
    least_share: float = 0.0
    least_texture: float = 0.0
    most: int = 0
    volumes: tuple[float, float] = (0.0, 1e9)

    def __post_init__(self) -> None:
        check_types(self)
        require(len(self.name) > 0, self, "name", "a name")
        require(self.count >= 0, self, "count", "a number of parts, not below 0,")
        require(self.most >= 0, self, "most", "a number of parts, not below 0,")
        for name in ("least_share", "least_texture"):
            require(0 <= getattr(self, name) <= 1, self, name, "a number from 0 to 1")
        smallest, largest = self.volumes
        require(0 <= smallest < largest, self, "volumes", "a smaller and a larger one")


class Volume(Protocol):
    """The properties of a stack of slices that ``Localise`` uses."""

    @property
    def pixels(self) -> np.ndarray:
        """(Z, Y, X), or (Z, Y, X, 3)."""

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Spacing in mm along (Z, Y, X); None if unknown."""


@dataclass(frozen=True)
class Localise:
    """Positions of structures in a template, by which boxes for the network are found in an image.

    Parameters
    ----------
    template
        Name of a NIfTI file in templates/.
    names
        Names of the structures, each of which is one object.
    centres
        Their centres in mm, in the template's axes to the right, front and head (RAS).
    box
        Size of the box around a centre, along the same axes, in voxels of the card's spacing.
    beyond
        In mm: an image that is longer than this along two axes is more than a crop. It counts
        voxels as mm if the spacing is unknown.
    """

    template: str
    names: tuple[str, ...]
    centres: tuple[tuple[float, float, float], ...]
    box: tuple[int, int, int]
    beyond: float = 60.0

    def __post_init__(self) -> None:
        check_types(self)
        matching = len(self.centres) == len(self.names)
        require(matching, self, "centres", f"one for each of {len(self.names)} names")
        require(min(self.box) > 0, self, "box", "three sizes above 0")
        require(self.beyond >= 0, self, "beyond", "a length in mm, not below 0,")

    def wanted(self, stack: Volume) -> bool:
        """Return whether a (Z, Y, X) stack is more than a crop, so that boxes must be found."""
        is_grey_volume = stack.pixels.ndim == 3 and len(stack.pixels) > 1
        if not is_grey_volume:
            return False

        sizes = np.array(stack.pixels.shape, float)
        if stack.spacing is not None and len(stack.spacing) == 3:
            sizes *= stack.spacing
        second_longest = np.sort(sizes)[1]
        return bool(second_longest > self.beyond)
