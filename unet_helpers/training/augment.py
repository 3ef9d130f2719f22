"""Random windows of the examples and their augmentation, a whole batch at a time, on the CPU or a GPU."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import cv2
import torch
import torch.nn.functional as F

from .recipes import IGNORED, Example, Recipe

TRIES, LOOK = 8, 16  # places tried for a window, and points a side at which each is looked at
STRETCH = 0.1  # how much longer one side may become than the other, as the log of a ratio
LUMA = (0.299, 0.587, 0.114)
DYES = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))  # what H, E and DAB absorb of red, green, blue


class Draws:
    """Random numbers of one step: the same whenever they are drawn again on the same kind of device."""

    def __init__(self, seed: int, device: str | torch.device = "cpu"):
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.host = torch.Generator().manual_seed(seed)  # for what decides a shape: no waiting for the GPU

    def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)

    def coin(self, chance: float, *shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=self.generator, device=self.device) < chance

    def number(self, low: float, high: float) -> float:
        """One uniform number, as Python's own."""
        return low + (high - low) * float(torch.rand((), generator=self.host))


class Pool:
    """The examples end to end in one tensor on the device, whatever their sizes, and how often each is drawn."""

    def __init__(self, examples: Sequence[Example], device: str | torch.device = "cpu", shares: Mapping | None = None):
        self.device = torch.device(device)
        flat = [torch.from_numpy(e.pixels).flatten(1).T for e in examples]
        self.pixels = torch.cat(flat).to(self.device)  # (all pixels, C) float16
        self.target = torch.cat([torch.from_numpy(e.target).flatten() for e in examples]).to(self.device)
        self.shapes = torch.tensor([e.target.shape for e in examples], device=self.device)
        sizes = self.shapes.prod(1)
        self.starts = sizes.cumsum(0) - sizes
        self.left_right = torch.tensor([e.left_right for e in examples], device=self.device)
        self.weights = torch.tensor(draw_weights(examples, shares or {}), device=self.device)

    def batch(self, draws: Draws, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, C, s, s) float32 and (N, s, s) int64, augmented."""
        index = torch.multinomial(self.weights, recipe.batch, replacement=True, generator=draws.generator)
        images, targets = self.windows(index, draws, recipe)
        images = vary_neighbours(images, recipe, draws)
        if recipe.symmetry == "left-right":
            images, targets = swap_sides(images, targets, self.left_right[index], draws.coin(0.5, recipe.batch))
        if recipe.carve_mix:
            images, targets = carve_some(images, targets, recipe, draws)
        return vary_intensities(images, recipe, draws), targets

    def windows(self, index: torch.Tensor, draws: Draws, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
        """Turned, zoomed and bent windows of the examples ``index``."""
        n, side = len(index), recipe.crop
        shape, start = self.shapes[index], self.starts[index]
        zoom = draws.uniform(*(math.log(z) for z in recipe.zoom), n).exp()
        matrix = to_source(zoom, draws, recipe)
        centre = self.choose_centres(shape, start, side / zoom, draws, recipe)
        axis = torch.arange(side, device=self.device) - (side - 1) / 2
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).expand(n, -1, -1, -1)
        if recipe.elastic:
            coarse = draws.normal(n, 2, side // 32 + 3, side // 32 + 3) * recipe.elastic * draws.coin(0.5, n, 1, 1, 1)
            bend = F.interpolate(coarse, (side, side), mode="bicubic", align_corners=True)
            grid = grid + bend.permute(0, 2, 3, 1)
        places = grid.reshape(n, -1, 2) @ matrix.mT + centre[:, None] - 0.5
        pixels, target = self.look_up(places, shape, start, recipe.mirror)
        return pixels.reshape(n, side, side, -1).permute(0, 3, 1, 2), target.reshape(n, side, side)

    def choose_centres(self, shape, start, side, draws: Draws, recipe: Recipe) -> torch.Tensor:
        """(N, 2): where there is something to learn from, if one of a few random places is such a one."""
        n = len(shape)
        low = torch.minimum(side[:, None] / 2, shape - side[:, None] / 2)
        high = torch.maximum(side[:, None] / 2, shape - side[:, None] / 2)
        centres = low[:, None] + (high - low)[:, None] * draws.uniform(0, 1, n, TRIES, 2)
        axis = (torch.arange(LOOK, device=self.device) + 0.5) / LOOK - 0.5
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(1, 1, -1, 2)
        places = (centres[:, :, None] + grid * side[:, None, None, None]).reshape(n, -1, 2)
        inside = within(places, shape).reshape(n, TRIES, -1)
        target = self.target[self.nearest(places, shape, start)].reshape(n, TRIES, -1)
        seen = inside & (target != IGNORED)
        good = (seen.sum(2) > 0.6 * inside.sum(2)) & (seen & (target > 0)).any(2)
        first = (good * torch.arange(TRIES, 0, -1, device=self.device)).argmax(1)
        return centres[torch.arange(n, device=self.device), first]

    def look_up(self, places, shape, start, mirror: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, P, C) pixels between their four neighbours and (N, P) class ids at ``places`` (N, P, 2) in px."""
        beyond = None if mirror else ~within(places, shape)
        places = fold(places, shape) if mirror else places
        places = torch.minimum(places.clamp(min=0), shape[:, None] - 1)
        low = places.floor()
        part = places - low
        pixels = 0
        for down in (0, 1):
            for right in (0, 1):
                corner = low + torch.tensor([down, right], device=self.device)
                share = (part[..., 0] if down else 1 - part[..., 0]) * (part[..., 1] if right else 1 - part[..., 1])
                pixels = pixels + share[..., None] * self.pixels[self.nearest(corner, shape, start)].float()
        target = self.target[self.nearest(places, shape, start)].long()
        if beyond is not None:
            pixels, target = pixels.masked_fill(beyond[..., None], 0), target.masked_fill(beyond, IGNORED)
        return pixels, target

    def nearest(self, places, shape, start) -> torch.Tensor:
        """(N, P): the index in the pool of the pixel at each of ``places`` (N, P, 2)."""
        rows, columns = torch.minimum(places.round().clamp(min=0), shape[:, None] - 1).long().unbind(-1)
        return start[:, None] + rows * shape[:, None, 1] + columns


def draw_weights(examples: Sequence[Example], shares: Mapping[str, float]) -> list[float]:
    """Each kind gets its share (without shares: as many as there are), each group of a kind the same, an example
    of a group as much as its own weight says."""
    if not shares:
        return [e.weight for e in examples]
    groups = Counter()
    for e in examples:
        groups[e.kind, e.group] += e.weight
    of_kind = Counter(kind for kind, _ in groups)
    return [shares.get(e.kind, 0.0) / of_kind[e.kind] * e.weight / groups[e.kind, e.group] for e in examples]


def within(places: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """(N, P): do ``places`` (N, P, 2) lie inside images of ``shape`` (N, 2)?"""
    return ((places > -0.5) & (places < shape[:, None] - 0.5)).all(-1)


def fold(places: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """Places beyond an image brought back into it, as in a mirror at its border."""
    length = shape[:, None].float()
    places = torch.remainder(places + 0.5, 2 * length)
    return torch.minimum(places, 2 * length - places) - 0.5


def to_source(zoom: torch.Tensor, draws: Draws, recipe: Recipe) -> torch.Tensor:
    """(N, 2, 2): from px (row, column) of a window to px of its image; zoom, stretch, rotation, quarter turn, flip."""
    n = len(zoom)
    angle = draws.uniform(-1, 1, n) * math.radians(recipe.rotation)
    shear = draws.uniform(-1, 1, n) * math.radians(min(8.0, recipe.rotation))
    stretch = draws.uniform(-STRETCH, STRETCH, n).exp() if recipe.rotation else torch.ones_like(zoom)
    zero = torch.zeros_like(zoom)
    rows = (torch.cos(angle), -torch.sin(angle + shear), torch.sin(angle), torch.cos(angle + shear))
    turned = torch.stack(rows, -1).reshape(n, 2, 2)
    scaled = torch.stack((stretch / zoom, zero, zero, 1 / (stretch * zoom)), -1).reshape(n, 2, 2)
    if recipe.symmetry != "all":
        return turned @ scaled
    flip = torch.diag_embed(1 - 2 * draws.coin(0.5, n, 2).float())
    swap = torch.eye(2, device=draws.device)[[1, 0]]
    quarter = torch.where(draws.coin(0.5, n, 1, 1), swap @ flip, flip)
    return turned @ scaled @ quarter


def turn(x: torch.Tensor, way: int) -> torch.Tensor:
    """One of the eight: way % 4 quarter turns, then mirrored from 4 on."""
    x = torch.rot90(x, way % 4, (-2, -1))
    return x.flip(-1) if way >= 4 else x


def turn_back(x: torch.Tensor, way: int) -> torch.Tensor:
    return torch.rot90(x.flip(-1) if way >= 4 else x, -way % 4, (-2, -1))


def each(images: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(N,) shaped to act on (N, C, H, W)."""
    return values.reshape(-1, *[1] * (images.dim() - 1))


def vary_neighbours(images: torch.Tensor, recipe: Recipe, draws: Draws) -> torch.Tensor:
    """(N, C, H, W): slices of a volume between their neighbours, these hidden or swapped now and then."""
    if not recipe.hide_neighbours:
        return images
    n, channels = images.shape[:2]
    swapped = torch.where(each(images, draws.coin(0.5, n)), images.flip(1), images)
    middle = images[:, [channels // 2]].expand_as(images)
    return torch.where(each(images, draws.coin(recipe.hide_neighbours, n)), middle, swapped)


def swap_sides(images, targets, left_right: torch.Tensor, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``chosen`` of (N, C, H, W) and (N, H, W) as of a mirrored body: its columns, or the order of its slices."""
    columns, slices = chosen & (left_right == 2), chosen & (left_right == 0)
    images = torch.where(each(images, columns), images.flip(3), images)
    images = torch.where(each(images, slices), images.flip(1), images)
    return images, torch.where(each(targets, columns), targets.flip(2), targets)


def vary_intensities(images: torch.Tensor, recipe: Recipe, draws: Draws) -> torch.Tensor:
    """Dyes, colours, light, contrast, camera and hidden boxes, each drawn anew for each of (N, C, H, W)."""
    n = len(images)
    if recipe.stain:
        images = vary_stain(images, recipe, draws)
    if recipe.colour:
        images = vary_colours(images, recipe, draws)
    if recipe.bias_field:
        images = images * (recipe.bias_field * smooth_field(images, draws)).exp()
    if recipe.haze:
        images = images + recipe.haze * smooth_field(images, draws)
    images = images.clamp(0, 1.5) ** each(images, (recipe.gamma * draws.normal(n)).exp())
    middle = images.mean((1, 2, 3), keepdim=True)
    contrast = each(images, (recipe.contrast * draws.normal(n)).exp())
    images = (images - middle) * contrast + middle + each(images, recipe.brightness * draws.normal(n))
    images = vary_camera(images, recipe, draws)
    return hide_boxes(images, recipe, draws)


def vary_stain(images: torch.Tensor, recipe: Recipe, draws: Draws) -> torch.Tensor:
    """Haematoxylin, eosin and DAB, each stronger or weaker, in the space of their optical densities.

    After Tellez et al. 2018, IEEE TMI 37(9); the dyes after Ruifrok and Johnston 2001. The darkest pixel of an
    image (0) is taken to let 15 % of the light pass.
    """
    n, faint = len(images), 0.15
    dyes = torch.tensor(DYES, device=images.device)
    density = -(faint + (1 - faint) * images).clamp(0.02, 1.5).log()
    amounts = torch.einsum("nchw,cd->ndhw", density, torch.linalg.inv(dyes))
    strength = 1 + recipe.stain * draws.normal(n, 3, 1, 1)
    amounts = amounts * strength + 0.2 * recipe.stain * draws.normal(n, 3, 1, 1)
    dyes = dyes + 0.15 * recipe.stain * draws.normal(n, 3, 3)  # no two laboratories' dyes are of the same hue
    light = (-torch.einsum("ndhw,ndc->nchw", amounts, dyes)).exp()
    return (light - faint) / (1 - faint)


def vary_colours(images: torch.Tensor, recipe: Recipe, draws: Draws) -> torch.Tensor:
    """Saturation, hue (turned around the axis of greys) and, for one in ten, no colour at all."""
    n, luma = len(images), torch.tensor(LUMA, device=images.device)[:, None, None]
    grey = (images * luma).sum(1, keepdim=True)
    strength = (recipe.colour * draws.normal(n)).exp() * ~draws.coin(0.1, n)
    chroma = (images - grey) * each(images, strength)
    angle = draws.uniform(-1, 1, n) * recipe.colour / 5 * 2 * math.pi
    third, root = (1 - angle.cos()) / 3, angle.sin() / math.sqrt(3)
    diagonal, up, down = angle.cos() + third, third - root, third + root
    rows = (diagonal, up, down, down, diagonal, up, up, down, diagonal)
    return grey + torch.einsum("nij,njhw->nihw", torch.stack(rows, -1).reshape(n, 3, 3), chroma)


def smooth_field(images: torch.Tensor, draws: Draws) -> torch.Tensor:
    """(N, 1, H, W): for half of the images zero, for the others a random field that varies slowly."""
    n = len(images)
    field = draws.normal(n, 1, 4, 4) * draws.coin(0.5, n, 1, 1, 1)
    return F.interpolate(field, images.shape[2:], mode="bicubic", align_corners=True)


def vary_camera(images: torch.Tensor, recipe: Recipe, draws: Draws, groups: int = 8) -> torch.Tensor:
    """Fewer pixels, their noise, and blur or sharpening; resolution and width are drawn for groups of images."""
    seen = []
    for part in images.chunk(groups):
        full = part.shape[2:]
        share = draws.number(0.45, 1) if draws.number(0, 1) < recipe.downsample else 1.0
        if share < 1:
            part = F.interpolate(part, [round(s * share) for s in full], mode="bilinear", antialias=True)
        part = part + torch.randn(part.shape, generator=draws.generator, device=part.device) * each(
            part, draws.normal(len(part)).abs() * recipe.noise
        )  # of the camera's pixels, few or many
        if share < 1:
            part = F.interpolate(part, full, mode="bilinear", antialias=True)
        amount = draws.uniform(-1, 1, len(part)) * draws.coin(recipe.focus, len(part))
        if recipe.focus:
            part = part + each(part, amount) * (blur(part, draws.number(0.5, 2.0)) - part)
        seen.append(part)
    return torch.cat(seen)


def blur(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian, mirrored at the border."""
    reach = math.ceil(2.5 * sigma)
    axis = torch.arange(-reach, reach + 1, device=images.device)
    kernel = torch.softmax(-(axis**2) / (2 * sigma**2), 0)
    channels = images.shape[1]
    for shape in ((1, 1, -1, 1), (1, 1, 1, -1)):
        around = (0, 0, reach, reach) if shape[2] == -1 else (reach, reach, 0, 0)
        padded = F.pad(images, around, mode="reflect")
        images = F.conv2d(padded, kernel.reshape(shape).expand(channels, -1, -1, -1), groups=channels)
    return images


def hide_boxes(images: torch.Tensor, recipe: Recipe, draws: Draws) -> torch.Tensor:
    """A small box of even grey in some of the images."""
    if not recipe.erase:
        return images
    n, _, height, width = images.shape
    sides = draws.uniform(0.05, 0.2, n, 2) * draws.coin(recipe.erase, n, 1)
    centre = draws.uniform(0, 1, n, 2)
    rows = (torch.arange(height, device=images.device) / height - centre[:, :1]).abs() < sides[:, :1] / 2
    columns = (torch.arange(width, device=images.device) / width - centre[:, 1:]).abs() < sides[:, 1:] / 2
    box = (rows[:, :, None] & columns[:, None, :])[:, None]
    return torch.where(box, each(images, draws.uniform(0, 1, n)), images)


def carve_some(images, targets, recipe: Recipe, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
    """With a chance of ``carve_mix``, the structure of the image before it in the batch is set into an image."""
    pairs = list(zip(images.cpu(), targets.cpu()))
    mixed = [
        carve_mix(*pair, *pairs[i - 1], draws.number(0, 1)) if draws.number(0, 1) < recipe.carve_mix else pair
        for i, pair in enumerate(pairs)
    ]
    return tuple(torch.stack(part).to(draws.device) for part in zip(*mixed))


def carve_mix(
    image: torch.Tensor, target: torch.Tensor, other: torch.Tensor, other_target: torch.Tensor, share: float = 0.5
) -> tuple[torch.Tensor, torch.Tensor]:
    """(C, H, W) and (H, W): the structure of ``other``, with a ``share`` of its own depth as a margin, set into
    ``image``.

    After CarveMix (Zhang et al. 2021, MICCAI, arXiv:2108.06883), but never less than the whole structure, only where
    both show tissue, feathered over 3 px, and as bright against its new surroundings as it was against its old ones.
    ``image`` and ``target`` come back unchanged where there is little to carve.
    """
    structure = ((other_target > 0) & (other_target != IGNORED)).to(torch.uint8).numpy()
    tissue = (image.amin(0) > 0.05) & (other.amin(0) > 0.05)  # neither air nor the blank beyond an image
    away = torch.from_numpy(cv2.distanceTransform(1 - structure, cv2.DIST_L2, 5))
    ring = tissue & (away > 2) & (away < 12)
    if structure.sum() < 30 or ring.sum() < 50:
        return image, target
    margin = 1 + share * float(cv2.distanceTransform(structure, cv2.DIST_L2, 5).max())
    weight = ((margin + 1.5 - away) / 3).clamp(0, 1) * tissue
    other = other * (image[:, ring].mean() / other[:, ring].mean()).clamp(0.4, 2.5)
    return image * (1 - weight) + other * weight, torch.where(weight > 0.5, other_target, target)
