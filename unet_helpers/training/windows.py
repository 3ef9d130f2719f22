"""Random windows of the examples, turned, zoomed and bent, a whole batch at a time, on the CPU or a GPU."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from .recipes import IGNORED, Example, Recipe

TRIES, LOOK = 8, 16  # places tried for a window, and points a side at which each is looked at
STRETCH = 0.1  # how much longer one side may become than the other, as the log of a ratio


class Draws:
    """Random numbers of one step: the same whenever they are drawn again on the same kind of device."""

    def __init__(self, seed: int, device: str | torch.device = "cpu"):
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.host = torch.Generator().manual_seed(
            seed
        )  # for what decides a shape: no waiting for the GPU

    def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)

    def coin(self, chance: float, *shape: int) -> torch.Tensor:
        return self.uniform(0, 1, *shape) < chance

    def smooth(self, n: int, channels: int, knots: int, size: Sequence[int]) -> torch.Tensor:
        """(n, channels, *size): half of them zero, the others random fields that vary slowly."""
        field = self.normal(n, channels, knots, knots) * self.coin(0.5, n, 1, 1, 1)
        return F.interpolate(field, size, mode="bicubic", align_corners=True)

    def number(self, low: float, high: float) -> float:
        """One uniform number, as Python's own."""
        return low + (high - low) * float(torch.rand((), generator=self.host))


class Pool:
    """The examples end to end in one tensor on the device, whatever their sizes, and how often each is drawn."""

    def __init__(
        self,
        examples: Sequence[Example],
        device: str | torch.device = "cpu",
        shares: Mapping | None = None,
    ):
        self.device = torch.device(device)
        self.pixels = torch.cat([torch.from_numpy(e.pixels).flatten(1).T for e in examples]).to(
            self.device
        )  # (all, C)
        self.target = torch.cat([torch.from_numpy(e.target).flatten() for e in examples]).to(
            self.device
        )
        self.shapes = torch.tensor([e.target.shape for e in examples], device=self.device)
        sizes = self.shapes.prod(1)
        self.starts = sizes.cumsum(0) - sizes
        self.left_right = torch.tensor([e.left_right for e in examples], device=self.device)
        self.weights = torch.tensor(draw_weights(examples, shares or {}), device=self.device)

    def windows(
        self, index: torch.Tensor, draws: Draws, recipe: Recipe
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Turned, zoomed and bent windows of the examples ``index``."""
        n, side = len(index), recipe.crop
        shape, start = self.shapes[index], self.starts[index]
        zoom = draws.uniform(*(math.log(z) for z in recipe.zoom), n).exp()
        matrix = to_source(zoom, draws, recipe)
        centre = self.choose_centres(shape, start, side / zoom, draws, recipe)
        axis = torch.arange(side, device=self.device) - (side - 1) / 2
        grid = torch.cartesian_prod(axis, axis).expand(n, -1, -1)
        if recipe.elastic:
            grid = (
                grid
                + recipe.elastic * draws.smooth(n, 2, side // 32 + 3, (side, side)).flatten(2).mT
            )
        pixels, target = self.look_up(
            grid @ matrix.mT + centre[:, None] - 0.5, shape, start, recipe.mirror
        )
        return pixels.reshape(n, side, side, -1).permute(0, 3, 1, 2), target.reshape(n, side, side)

    def choose_centres(self, shape, start, side, draws: Draws, recipe: Recipe) -> torch.Tensor:
        """(N, 2): where there is something to learn from, if one of a few random places is such a one."""
        n, half = len(shape), side[:, None] / 2
        low, high = torch.stack((half.expand(n, 2), shape - half)).aminmax(dim=0)
        centres = low[:, None] + (high - low)[:, None] * draws.uniform(0, 1, n, TRIES, 2)
        axis = (torch.arange(LOOK, device=self.device) + 0.5) / LOOK - 0.5
        places = (
            centres[:, :, None] + torch.cartesian_prod(axis, axis) * side[:, None, None, None]
        ).flatten(1, 2)
        inside = within(places, shape).reshape(n, TRIES, -1)
        target = self.target[self.nearest(places, shape, start)].reshape(n, TRIES, -1)
        seen = inside & (target != IGNORED)
        good = (seen.sum(2) > 0.6 * inside.sum(2)) & (seen & (target > 0)).any(2)
        return centres[
            torch.arange(n, device=self.device), good.int().argmax(1)
        ]  # the first good one

    def look_up(self, places, shape, start, mirror: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, P, C) pixels between their four neighbours and (N, P) class ids at ``places`` (N, P, 2) in px."""
        beyond = ~within(places, shape) & (not mirror)
        if mirror:  # brought back into the image, as in a mirror at its border
            double = 2 * shape[:, None].float()
            places = torch.remainder(places + 0.5, double)
            places = torch.minimum(places, double - places) - 0.5
        places = torch.minimum(places.clamp(min=0), shape[:, None] - 1)
        low, ends = places.floor(), torch.arange(2, device=self.device)
        pixels = torch.zeros((), device=self.device)
        for corner in torch.cartesian_prod(ends, ends):
            down, right = torch.where(corner > 0, places - low, 1 - (places - low)).split(1, -1)
            pixels = (
                pixels
                + down * right * self.pixels[self.nearest(low + corner, shape, start)].float()
            )
        target = self.target[self.nearest(places, shape, start)].long()
        return pixels.masked_fill(beyond[..., None], 0), target.masked_fill(beyond, IGNORED)

    def nearest(self, places, shape, start) -> torch.Tensor:
        """(N, P): the index in the pool of the pixel at each of ``places`` (N, P, 2)."""
        rows, columns = (
            torch.minimum(places.round().clamp(min=0), shape[:, None] - 1).long().unbind(-1)
        )
        return start[:, None] + rows * shape[:, None, 1] + columns


def draw_weights(examples: Sequence[Example], shares: Mapping[str, float]) -> list[float]:
    """Each kind gets its share (without shares: as many as there are), each group of a kind and each of it the same."""
    groups = Counter((e.kind, e.group) for e in examples)
    of_kind = Counter(kind for kind, _ in groups)
    shared = [shares.get(e.kind, 0.0) / of_kind[e.kind] / groups[e.kind, e.group] for e in examples]
    return shared if shares else [1.0] * len(examples)


def within(places: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """(N, P): do ``places`` (N, P, 2) lie inside images of ``shape`` (N, 2)?"""
    return ((places > -0.5) & (places < shape[:, None] - 0.5)).all(-1)


def to_source(zoom: torch.Tensor, draws: Draws, recipe: Recipe) -> torch.Tensor:
    """(N, 2, 2): from px (row, column) of a window to px of its image; zoom, stretch, rotation, quarter turn, flip."""
    n = len(zoom)
    angle = draws.uniform(-1, 1, n) * math.radians(recipe.rotation)
    shear = draws.uniform(-1, 1, n) * math.radians(min(8.0, recipe.rotation))
    stretch = (
        draws.uniform(-STRETCH, STRETCH, n).exp() if recipe.rotation else torch.ones_like(zoom)
    )
    rows = (torch.cos(angle), -torch.sin(angle + shear), torch.sin(angle), torch.cos(angle + shear))
    matrix = (
        torch.stack(rows, -1).reshape(n, 2, 2)
        * torch.stack((stretch / zoom, 1 / (stretch * zoom)), -1)[:, None]
    )
    if recipe.symmetry != "all":
        return matrix
    flip = torch.diag_embed(1 - 2 * draws.coin(0.5, n, 2).float())
    return matrix @ torch.where(draws.coin(0.5, n, 1, 1), flip.flip(1), flip)
