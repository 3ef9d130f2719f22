"""Cuts random windows out of the examples, turned, zoomed and bent, one batch at a time.

Examples are slices, whose windows are squares, or volumes, whose windows are cubes. Below, D is 2
or 3, the number of their axes, and ``*sides`` is (side, side) or (side, side, side).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from .examples import IGNORED, Example
from .recipes import Recipe
from .rng import StepRng

# Number of places tried for a window, and of points per side at which the truth of each is sampled.
PLACES_TRIED = 8
POINTS_PER_SIDE = 16

# Largest stretch, as a natural logarithm: one axis of a plane is scaled by s, the other by 1 / s.
MAX_STRETCH = 0.1

# Degrees: the largest shear is the smaller of this and the recipe's rotation.
MAX_SHEAR = 8.0


@dataclass(frozen=True, eq=False)
class SourceImages:
    """Positions of the images of a batch in an ``ExamplePool``."""

    # (N, D): the lengths of their axes in px, (height, width) of slices.
    shapes: torch.Tensor
    # (N,) index of the first pixel in the pool.
    starts: torch.Tensor


class ExamplePool:
    """All examples, concatenated in one tensor on the device, and how often each is drawn."""

    def __init__(
        self,
        examples: Sequence[Example],
        device: str | torch.device = "cpu",
        shares: Mapping[str, float] | None = None,
    ) -> None:
        self.device = torch.device(device)

        # (pixels of all examples, C), and their class ids.
        pixels = torch.cat([torch.from_numpy(e.pixels).flatten(1).T for e in examples])
        target = torch.cat([torch.from_numpy(e.target).flatten() for e in examples])
        self.pixels = pixels.to(self.device)
        self.target = target.to(self.device)

        self.shapes = torch.tensor([e.target.shape for e in examples], device=self.device)
        sizes = self.shapes.prod(1)
        self.starts = sizes.cumsum(0) - sizes

        self.left_right = torch.tensor([e.left_right for e in examples], device=self.device)
        self.weights = torch.tensor(draw_weights(examples, shares or {}), device=self.device)

    def draw(self, count: int, rng: StepRng) -> torch.Tensor:
        """Draw the indices (count,) of examples, by their weights."""
        return torch.multinomial(self.weights, count, replacement=True, generator=rng.generator)

    def windows(
        self, index: torch.Tensor, rng: StepRng, recipe: Recipe
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut turned, zoomed and bent windows of the examples ``index``.

        Returns pixels (N, C, *sides) float32 and class ids (N, *sides) int64.
        """
        count = len(index)
        dims = self.shapes.shape[1]
        side = recipe.crop
        sides = [side] * dims
        images = SourceImages(shapes=self.shapes[index], starts=self.starts[index])

        log_low, log_high = (math.log(zoom) for zoom in recipe.zoom)
        zoom = rng.uniform(log_low, log_high, count).exp()
        matrix = window_to_image(zoom, rng, recipe, dims)
        centre = self.choose_centres(images, side / zoom, rng, recipe.least_known)

        # (N, pixels, D): the positions of the window's pixels, from its centre.
        axis = torch.arange(side, device=self.device) - (side - 1) / 2
        grid = torch.cartesian_prod(*[axis] * dims).expand(count, -1, -1)
        if recipe.elastic:
            displacement = rng.smooth_field(count, dims, side // 32 + 3, sides)
            grid = grid + recipe.elastic * displacement.flatten(2).mT

        positions = grid @ matrix.mT + centre[:, None] - 0.5
        pixels, target = self.look_up(positions, images, recipe.mirror_border)

        pixels = pixels.reshape(count, *sides, -1).movedim(-1, 1)
        return pixels, target.reshape(count, *sides)

    def choose_centres(
        self, images: SourceImages, sides: torch.Tensor, rng: StepRng, least_known: float
    ) -> torch.Tensor:
        """Choose the centres (N, D) of windows whose ``sides`` (N,) are in px of their images.

        The first of several random places is taken that shows some structure and whose truth is
        mostly known; if there is none, the very first place.
        """
        count, dims = images.shapes.shape
        half = sides[:, None] / 2
        limits = torch.stack((half.expand(count, dims), images.shapes - half))
        low, high = limits.aminmax(dim=0)

        shares = rng.uniform(0, 1, count, PLACES_TRIED, dims)
        centres = low[:, None] + (high - low)[:, None] * shares

        # (N, places * points, D): a coarse grid of points in each of the windows tried.
        axis = (torch.arange(POINTS_PER_SIDE, device=self.device) + 0.5) / POINTS_PER_SIDE - 0.5
        offsets = torch.cartesian_prod(*[axis] * dims) * sides[:, None, None, None]
        points = (centres[:, :, None] + offsets).flatten(1, 2)

        by_place = (count, PLACES_TRIED, -1)
        inside = lies_inside(points, images.shapes).reshape(by_place)
        target = self.target[self.pool_index(points, images)].reshape(by_place)

        is_known = inside & (target != IGNORED)
        mostly_known = is_known.sum(2) > least_known * inside.sum(2)
        shows_structure = (is_known & (target > 0)).any(2)
        good = mostly_known & shows_structure

        first_good = good.int().argmax(1)
        return centres[torch.arange(count, device=self.device), first_good]

    def look_up(
        self, positions: torch.Tensor, images: SourceImages, mirror_border: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read pixels (N, P, C) and class ids (N, P) at ``positions`` (N, P, D) in px.

        Pixels are interpolated between their 2**D neighbours. Beyond the border of an image is its
        mirror image, or 0 with the class IGNORED.
        """
        shapes = images.shapes[:, None]

        if mirror_border:
            beyond = torch.zeros(positions.shape[:2], dtype=torch.bool, device=self.device)
            positions = mirrored(positions, shapes)
        else:
            beyond = ~lies_inside(positions, images.shapes)

        positions = torch.minimum(positions.clamp(min=0), shapes - 1)
        low = positions.floor()
        share_of_high = positions - low

        pixels = torch.zeros((), device=self.device)
        ends = torch.arange(2, device=self.device)
        for corner in torch.cartesian_prod(*[ends] * positions.shape[-1]):
            shares = torch.where(corner > 0, share_of_high, 1 - share_of_high)
            neighbour = self.pixels[self.pool_index(low + corner, images)].float()
            pixels = pixels + shares.prod(-1, keepdim=True) * neighbour

        target = self.target[self.pool_index(positions, images)].long()
        return pixels.masked_fill(beyond[..., None], 0), target.masked_fill(beyond, IGNORED)

    def pool_index(self, positions: torch.Tensor, images: SourceImages) -> torch.Tensor:
        """Return the index (N, P) in the pool of the pixel nearest to ``positions`` (N, P, D)."""
        nearest = torch.minimum(positions.round().clamp(min=0), images.shapes[:, None] - 1)
        index, *later_axes = nearest.long().unbind(-1)
        for axis, coordinates in enumerate(later_axes, start=1):
            index = index * images.shapes[:, None, axis] + coordinates
        return images.starts[:, None] + index


def draw_weights(examples: Sequence[Example], shares: Mapping[str, float]) -> list[float]:
    """Return the weight with which each example is drawn.

    Each kind has its share; all groups in a kind, and all examples in a group, have equal weight.
    Without shares all examples have equal weight.
    """
    if not shares:
        return [1.0] * len(examples)

    examples_in_group = Counter((example.kind, example.group) for example in examples)
    groups_of_kind = Counter(kind for kind, _ in examples_in_group)

    weights = []
    for example in examples:
        share_of_group = shares.get(example.kind, 0.0) / groups_of_kind[example.kind]
        weights.append(share_of_group / examples_in_group[example.kind, example.group])
    return weights


def lies_inside(positions: torch.Tensor, shapes: torch.Tensor) -> torch.Tensor:
    """Return (N, P) bool: which ``positions`` (N, P, D) are inside images of ``shapes`` (N, D)."""
    return ((positions > -0.5) & (positions < shapes[:, None] - 0.5)).all(-1)


def mirrored(positions: torch.Tensor, shapes: torch.Tensor) -> torch.Tensor:
    """Reflect ``positions`` (N, P, D) at the image's borders, so that all are inside.

    ``shapes`` is (N, 1, D).
    """
    period = 2 * shapes.float()
    from_border = torch.remainder(positions + 0.5, period)
    return torch.minimum(from_border, period - from_border) - 0.5


def window_to_image(zoom: torch.Tensor, rng: StepRng, recipe: Recipe, dims: int) -> torch.Tensor:
    """Draw matrices (N, D, D) from px (row, column) of a window to px of its image.

    They combine the zoom with a turn in each plane: slices have one plane, volumes have three.
    """
    count = len(zoom)
    matrix = torch.eye(dims, device=zoom.device) / zoom[:, None, None]
    for plane in combinations(range(dims), 2):
        axes = torch.tensor(plane)
        turn = torch.eye(dims, device=zoom.device).repeat(count, 1, 1)
        turn[:, axes[:, None], axes] = turned_in_plane(count, rng, recipe)
        matrix = matrix @ turn
    return matrix


def turned_in_plane(count: int, rng: StepRng, recipe: Recipe) -> torch.Tensor:
    """Draw matrices (N, 2, 2) of a plane.

    They combine stretch, shear and rotation, and flips and a quarter turn if all symmetries are
    allowed.
    """
    angle = rng.uniform(-1, 1, count) * math.radians(recipe.rotation)
    shear = rng.uniform(-1, 1, count) * math.radians(min(MAX_SHEAR, recipe.rotation))
    stretch = torch.ones_like(angle)
    if recipe.rotation:
        stretch = rng.uniform(-MAX_STRETCH, MAX_STRETCH, count).exp()

    first_row = (torch.cos(angle), -torch.sin(angle + shear))
    second_row = (torch.sin(angle), torch.cos(angle + shear))
    rotation = torch.stack((*first_row, *second_row), dim=-1).reshape(count, 2, 2)
    matrix = rotation * torch.stack((stretch, 1 / stretch), dim=-1)[:, None]

    if recipe.symmetry != "all":
        return matrix

    flip = torch.diag_embed(1 - 2 * rng.coin(0.5, count, 2).float())
    quarter_turn = flip.flip(1)
    return matrix @ torch.where(rng.coin(0.5, count, 1, 1), quarter_turn, flip)
