"""What a person looks at: overlays, comparisons, probabilities. Colours are safe for the colour-blind."""

from textwrap import fill

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Patch
from PIL import ImageColor
from torchvision.utils import draw_segmentation_masks

from .images import MedicalImage
from .prepare import intensity_range
from .result import Segmentation
from .stacks import as_displayed

HIT, MISS, FALSE_ALARM = "#009E73", "#56B4E9", "#D55E00"  # Okabe and Ito
LONGEST = 1600  # px: larger images are shrunk for display


def picture(image: MedicalImage, index: int | None = None) -> np.ndarray:
    """(H, W, 3) uint8 for the eye: the 0.5th to 99.5th percentile from black to white; ``index`` picks a slice."""
    pixels = plane(image, image.pixels, index)
    if pixels.dtype != np.uint8:
        offset, gain = intensity_range(pixels, 0.5, 99.5)
        pixels = (np.clip((np.nan_to_num(pixels.astype(np.float32)) - offset) * gain, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2))


def plane(image: MedicalImage, values: np.ndarray, index: int | None) -> np.ndarray:
    """The image itself, or slice ``index`` (default: the middle one) of a volume as it is displayed."""
    if image.axes in ("YX", "YXC"):
        return values
    stack = as_displayed(image, values)
    return stack[len(stack) // 2 if index is None else index]


def busiest_slice(result: Segmentation) -> int | None:
    """The slice with most of the structure, None for a single image."""
    if result.image.axes in ("YX", "YXC"):
        return None
    amounts = np.count_nonzero(as_displayed(result.image, result.labels), axis=(1, 2))
    return int(amounts.argmax()) if amounts.any() else len(amounts) // 2


def overlay(result: Segmentation, index: int | None = None, alpha: float = 0.35, contours: bool = True) -> np.ndarray:
    """(H, W, 3) uint8: each class in its colour over the image, every object outlined in full colour."""
    index = busiest_slice(result) if index is None else index
    shown = shrink(picture(result.image, index), cv2.INTER_AREA)
    labels = shrink(plane(result.image, result.labels, index), cv2.INTER_NEAREST_EXACT)
    masks = torch.from_numpy(np.stack([labels == i for i in range(1, len(result.card.classes) + 1)]))
    painted = draw_segmentation_masks(torch.from_numpy(shown).permute(2, 0, 1), masks, alpha, list(result.card.colors))
    painted = np.ascontiguousarray(painted.permute(1, 2, 0).numpy())
    if contours:
        edges = outlines(shrink(plane(result.image, result.objects, index), cv2.INTER_NEAREST_EXACT))
        ink = np.array([(255, 255, 255), *map(ImageColor.getrgb, result.card.colors)], np.uint8)
        painted[edges] = ink[labels[edges]]
    return painted


def outlines(objects: np.ndarray) -> np.ndarray:
    """(H, W) bool: the pixels of an object that touch another one or the background."""
    values = objects.astype(np.float32)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return (objects > 0) & (cv2.dilate(values, cross) != cv2.erode(values, cross))


def shrink(values: np.ndarray, interpolation: int) -> np.ndarray:
    """At most ``LONGEST`` px on the longer side."""
    zoom = LONGEST / max(values.shape[:2])
    if zoom >= 1:
        return values
    values = values.astype(np.float32) if values.dtype == np.int32 else values  # exact for ids below 2**24
    return cv2.resize(values, None, fx=zoom, fy=zoom, interpolation=interpolation)


def show(result: Segmentation, index: int | None = None):
    """Image, overlay and probability side by side; ``index`` picks the slice of a volume. Returns the figure."""
    index = busiest_slice(result) if index is None else index
    card = result.card
    foreground = result.probabilities[0] if len(result.probabilities) == 1 else 1 - result.probabilities[0]
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained")
    where = "" if index is None else f", slice {index}"
    axes[0].imshow(shrink(picture(result.image, index), cv2.INTER_AREA))
    axes[0].set_title(f"{result.image.name}{where}")
    axes[1].imshow(overlay(result, index))
    axes[1].set_title(f"{card.title.lower()}: {result.objects.max() and len(np.unique(result.objects)) - 1} objects")
    axes[1].legend(
        handles=[Patch(color=c, label=n) for c, n in zip(card.colors, card.classes, strict=True)],
        loc="lower right",
        framealpha=0.8,
    )
    heat = axes[2].imshow(plane(result.image, foreground, index), cmap="cividis", vmin=0, vmax=1)
    axes[2].contour(plane(result.image, foreground, index), levels=[result.threshold], colors="white", linewidths=0.6)
    axes[2].set_title(f"probability, threshold {result.threshold:g}")
    figure.colorbar(heat, ax=axes[2], shrink=0.8)
    for ax in axes:
        ax.set_axis_off()
    if caution := result.explain() or " ".join(result.warnings):
        figure.supxlabel(fill(caution, 150), fontsize=10, color=FALSE_ALARM)
    plt.close(figure)  # a cell shows the returned figure once, not twice
    return figure


def compare(result: Segmentation, truth: np.ndarray, index: int | None = None):
    """Hits, misses and false alarms against the true labels (the image's shape). Returns the figure."""
    from .metrics import dice

    index = busiest_slice(result) if index is None else index
    real, found = plane(result.image, truth, index) > 0, plane(result.image, result.labels, index) > 0
    image = torch.from_numpy(picture(result.image, index)).permute(2, 0, 1)
    masks = torch.from_numpy(np.stack([real & found, real & ~found, found & ~real]))
    painted = draw_segmentation_masks(image, masks, 0.7, [HIT, MISS, FALSE_ALARM]).permute(1, 2, 0)
    figure, ax = plt.subplots(figsize=(7, 6), layout="constrained")
    ax.imshow(painted)
    ax.set_title(f"Dice {dice(truth, result.labels):.3f}")
    names = {"hit": HIT, "miss": MISS, "false alarm": FALSE_ALARM}
    ax.legend(handles=[Patch(color=c, label=n) for n, c in names.items()], loc="lower right")
    ax.set_axis_off()
    plt.close(figure)
    return figure


def png(pixels: np.ndarray) -> bytes:
    """(H, W, 3) uint8 RGB as the bytes of a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()


def overlay_png(result: Segmentation) -> bytes:
    """The overlay as a PNG file; what a cell shows for a ``Segmentation``."""
    return png(overlay(result))
