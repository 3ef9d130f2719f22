"""Makes batches: windows of the examples with varied intensities, on the CPU or a GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional
from torchvision.transforms.v2.functional import gaussian_blur, rgb_to_grayscale

from .carve import carve_some
from .recipes import Recipe
from .rng import StepRng
from .windows import ExamplePool

# Optical densities of haematoxylin, eosin and DAB (rows) for red, green and blue (columns), from
# Ruifrok and Johnston 2001.
DYES = (
    (0.65, 0.70, 0.29),
    (0.07, 0.99, 0.11),
    (0.27, 0.57, 0.78),
)

# Share of the light that passes a pixel of value 0, because no stain is entirely black.
LEAST_LIGHT = 0.15

# Knots per side of the smooth fields of bias and of haze.
FIELD_KNOTS = 4

# Share of colour images that become grey.
GREYED = 0.1

# Pixels: side of the kernel of a blur.
BLUR_KERNEL = 11

# Number of groups into which a batch is split. The images of a group have the same resolution and
# width of blur, because shapes cannot differ within a tensor.
CAMERAS = 8


@torch.no_grad()
def batch_of(pool: ExamplePool, rng: StepRng, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw an augmented batch: (N, C, *sides) float32 and (N, *sides) int64.

    There are two sides for slices and three for volumes.
    """
    index = pool.draw(recipe.batch, rng)
    images, targets = pool.windows(index, rng, recipe)

    if recipe.hide_neighbours:
        images = vary_neighbours(images, recipe, rng)

    if recipe.symmetry == "left-right":
        chosen = rng.coin(0.5, recipe.batch)
        images, targets = swap_sides(images, targets, pool.left_right[index], chosen)

    if recipe.carve_mix:
        images, targets = carve_some(images, targets, recipe.carve_mix, rng)

    return vary_intensities(images, recipe, rng), targets


def vary_neighbours(images: torch.Tensor, recipe: Recipe, rng: StepRng) -> torch.Tensor:
    """Swap or hide the neighbouring slices (channels) of some slices, (N, C, H, W)."""
    per_image = one_per_image(images)
    middle = images[:, [images.shape[1] // 2]]

    images = torch.where(rng.coin(0.5, *per_image), images.flip(1), images)
    return torch.where(rng.coin(recipe.hide_neighbours, *per_image), middle, images)


def swap_sides(
    images: torch.Tensor, targets: torch.Tensor, left_right: torch.Tensor, chosen: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Swap left and right of the body in the ``chosen`` of (N, C, [D,] H, W) and (N, [D,] H, W).

    If the columns run from left to right (``left_right`` is 2) they are mirrored; if the slices do
    (0), the order of the channels is reversed.
    """
    per_target = (len(chosen), *[1] * (targets.dim() - 1))
    mirror_columns = (chosen & (left_right == 2)).reshape(per_target)
    reverse_slices = (chosen & (left_right == 0)).reshape(per_target)

    images = torch.where(mirror_columns[:, None], images.flip(-1), images)
    images = torch.where(reverse_slices[:, None], images.flip(1), images)
    targets = torch.where(mirror_columns, targets.flip(-1), targets)
    return images, targets


def vary_intensities(images: torch.Tensor, recipe: Recipe, rng: StepRng) -> torch.Tensor:
    """Vary dyes, colours, light, contrast and camera of (N, C, [D,] H, W), each on its own."""
    count = len(images)
    size = images.shape[2:]
    per_image = one_per_image(images)

    if recipe.stain:
        images = vary_stain(images, recipe, rng)
    if recipe.colour:
        images = vary_colours(images, recipe, rng)
    if recipe.bias_field:
        log_gain = recipe.bias_field * rng.smooth_field(count, 1, FIELD_KNOTS, size)
        images = images * log_gain.exp()
    if recipe.haze:
        images = images + recipe.haze * rng.smooth_field(count, 1, FIELD_KNOTS, size)

    gamma = (recipe.gamma * rng.normal(*per_image)).exp()
    images = images.clamp(0, 1.5) ** gamma

    mean = images.flatten(1).mean(1).reshape(per_image)
    contrast = (recipe.contrast * rng.normal(*per_image)).exp()
    brightness = recipe.brightness * rng.normal(*per_image)
    images = (images - mean) * contrast + mean + brightness

    images = vary_camera(images, recipe, rng)
    if recipe.erase:
        images = hide_boxes(images, recipe, rng)
    return images


def vary_stain(images: torch.Tensor, recipe: Recipe, rng: StepRng) -> torch.Tensor:
    """Make haematoxylin, eosin and DAB stronger or weaker, as optical densities.

    After Tellez et al. 2018, IEEE TMI 37(9).
    """
    count = len(images)
    dyes = torch.tensor(DYES, device=images.device)

    light = LEAST_LIGHT + (1 - LEAST_LIGHT) * images
    density = -light.clamp(0.02, 1.5).log()
    amounts = torch.einsum("nchw,cd->ndhw", density, torch.linalg.inv(dyes))

    gain = 1 + recipe.stain * rng.normal(count, 3, 1, 1)
    added = 0.2 * recipe.stain * rng.normal(count, 3, 1, 1)
    amounts = amounts * gain + added

    # Hues of dyes differ between laboratories.
    dyes = dyes + 0.15 * recipe.stain * rng.normal(count, 3, 3)

    light = (-torch.einsum("ndhw,ndc->nchw", amounts, dyes)).exp()
    return (light - LEAST_LIGHT) / (1 - LEAST_LIGHT)


def vary_colours(images: torch.Tensor, recipe: Recipe, rng: StepRng) -> torch.Tensor:
    """Vary saturation and hue; a share GREYED of the images becomes grey."""
    count = len(images)
    per_image = (count, 1, 1, 1)
    grey = rgb_to_grayscale(images)

    saturation = (recipe.colour * rng.normal(*per_image)).exp()
    saturation = saturation * ~rng.coin(GREYED, *per_image)
    chroma = (images - grey) * saturation

    # Hue is rotated around the axis of greys, by the exponential of a skew-symmetric matrix.
    angle = rng.uniform(-1, 1, count) * recipe.colour / 5 * 2 * math.pi
    generator = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=images.device)
    around_grey = generator / math.sqrt(3)
    rotation = torch.linalg.matrix_exp(angle[:, None, None] * around_grey)
    return grey + torch.einsum("nij,njhw->nihw", rotation, chroma)


def vary_camera(images: torch.Tensor, recipe: Recipe, rng: StepRng) -> torch.Tensor:
    """Simulate cameras of lower resolution, with noise, blurred or sharpened."""
    groups = [vary_camera_of_group(group, recipe, rng) for group in images.chunk(CAMERAS)]
    return torch.cat(groups)


def vary_camera_of_group(images: torch.Tensor, recipe: Recipe, rng: StepRng) -> torch.Tensor:
    """Vary resolution, noise and focus of images that share one resolution and one blur."""
    full_size = images.shape[2:]
    per_image = one_per_image(images)

    is_coarse = rng.number(0, 1) < recipe.downsample
    if is_coarse:
        images = resampled(images, fewer_pixels(full_size, rng))

    # Noise is added at the camera's resolution.
    noise = rng.normal(*images.shape)
    strength = rng.normal(*per_image).abs() * recipe.noise
    images = images + noise * strength
    if is_coarse:
        images = resampled(images, full_size)

    # Amounts above 0 blur, below 0 sharpen.
    amount = rng.uniform(-1, 1, *per_image) * rng.coin(recipe.focus, *per_image)
    if recipe.focus:
        blurred = blur(images, rng.number(0.5, 2.0))
        images = images + amount * (blurred - images)
    return images


def one_per_image(images: torch.Tensor) -> tuple[int, ...]:
    """Return the shape (N, 1, 1, ...) of a number for each image."""
    return (len(images), *[1] * (images.dim() - 1))


def fewer_pixels(size: Sequence[int], rng: StepRng) -> list[int]:
    """Return a lower resolution: a share of 0.45 to 1 of the pixels along each axis.

    Every other volume has it along one axis only, down to a share of 0.2, because slices of a
    volume are often thicker than their pixels are wide.
    """
    share = rng.number(0.45, 1)
    if len(size) == 2 or rng.number(0, 1) < 0.5:
        return [round(length * share) for length in size]
    fewer = list(size)
    axis = int(rng.number(0, len(size)))
    fewer[axis] = round(size[axis] * share**2)
    return fewer


def blur(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur (N, C, [D,] H, W) along all axes by a Gaussian of ``sigma`` pixels."""
    blurred = gaussian_blur(images, [BLUR_KERNEL, BLUR_KERNEL], [sigma])
    if images.dim() == 4:
        return blurred
    # torchvision blurs the last two axes, so the first axis takes its turn as the columns.
    slices_last = blurred.movedim(2, -1)
    return gaussian_blur(slices_last, [BLUR_KERNEL, 1], [sigma]).movedim(-1, 2)


def resampled(images: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Resize (N, C, [D,] H, W) to ``size`` without aliasing."""
    if images.dim() == 4:
        return functional.interpolate(images, size, mode="bilinear", antialias=True)
    # torch has no antialiasing for volumes; means of areas have little aliasing.
    is_smaller = math.prod(size) < math.prod(images.shape[2:])
    return functional.interpolate(images, size, mode="area" if is_smaller else "trilinear")


def hide_boxes(images: torch.Tensor, recipe: Recipe, rng: StepRng) -> torch.Tensor:
    """Cover a small box in some of the images with one grey value."""
    count = len(images)
    lengths = images.shape[2:]

    # As shares of the image's sides; a box of size 0 covers nothing.
    sides = rng.uniform(0.05, 0.2, count, len(lengths)) * rng.coin(recipe.erase, count, 1)
    centres = rng.uniform(0, 1, count, len(lengths))

    box = torch.ones(one_per_image(images), dtype=torch.bool, device=images.device)
    for axis, length in enumerate(lengths):
        positions = torch.arange(length, device=images.device) / length
        from_centre = (positions - centres[:, [axis]]).abs()
        along_axis = [1] * images.dim()
        along_axis[0] = count
        along_axis[2 + axis] = length
        box = box & (from_centre < sides[:, [axis]] / 2).reshape(along_axis)
    return torch.where(box, rng.uniform(0, 1, *one_per_image(images)), images)
