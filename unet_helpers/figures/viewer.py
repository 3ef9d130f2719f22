"""Results to look at and to play with: three planes, a gallery, a live threshold in a running notebook, and a page that
lives without one.
"""

from dataclasses import replace
from html import escape
from textwrap import fill

import cv2
import numpy as np
from matplotlib.patches import Patch

from ..errors import ImageError
from ..images.image import MedicalImage
from ..images.read import read_image
from ..images.stack import as_displayed, to_stack
from ..palette import YELLOW
from ..preprocessing.out_of_distribution import suggest_model
from ..results.measurements import in_words
from ..results.metrics import dice
from ..results.overlay import picture, to_8_bits
from ..results.report import page_of
from ..results.segmentation import Segmentation
from .show import found, headline, panels

BODY = {
    "Axial": "RLA",
    "Coronal": "RLS",
    "Sagittal": "APS",
}  # and what is left, right and on top of each plane
STACK = {
    "Along the stack": "",
    "Across its rows": "",
    "Across its columns": "",
}  # where directions are not known
VIEW = 480  # px: longer side of a slice as shown


def image_of(shown: Segmentation | MedicalImage) -> MedicalImage:
    return shown.image if isinstance(shown, Segmentation) else shown


def facing(shown: Segmentation | MedicalImage, axis: int):
    """The volume as a stack of its axial (0), coronal (1) or sagittal (2) slices, the head up, in 8 bits."""
    image = image_of(shown)
    stack, upside_down = to_stack(image), axis and image.lies_in_space and image.oriented

    def turn(values: np.ndarray) -> np.ndarray:
        values = np.moveaxis(as_displayed(image, values), axis, 0)
        return values[:, ::-1] if upside_down else values

    spacing = stack.spacing and (stack.spacing[axis], *np.delete(stack.spacing, axis))
    pixels = to_8_bits(
        turn(image.pixels)
    )  # of all slices, or the brightness would jump from one to the next
    turned = replace(stack.as_image(), pixels=pixels, spacing=spacing)
    if shown is image:
        return turned
    result = replace(
        shown, image=turned, probabilities=np.stack([turn(p) for p in shown.probabilities])
    )
    vars(result).update(
        labels=turn(shown.labels), objects=turn(shown.objects)
    )  # as found, not found once more
    return result


def view(shown: Segmentation | MedicalImage, index: int | None = None) -> np.ndarray:
    """(H, W, 3) uint8: an image or slice, ``VIEW`` px at most, its sides as long as they are in the body."""
    if isinstance(shown, Segmentation):  # outlines only where touching objects are to be told apart
        alpha = None if shown.card.measures == "tree" else 0.6
        painted = shown.overlay(index, alpha, contours=shown.card.instance_method != "components")
    else:
        painted = picture(shown, index)
    height, width = extent(shown)
    zoom = VIEW / max(height, width)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    return cv2.resize(
        painted,
        size,
        interpolation=cv2.INTER_AREA if size[0] < painted.shape[1] else cv2.INTER_LINEAR,
    )


def extent(shown: Segmentation | MedicalImage) -> tuple[float, float]:
    """Height and width of a slice in mm, or px where the spacing is not known."""
    shape, steps = image_of(shown).spatial_shape, image_of(shown).spacing or (1.0, 1.0)
    return shape[-2] * steps[-2], shape[-1] * steps[-1]


def centre(shown: Segmentation | MedicalImage) -> tuple[int, ...]:
    """(z, y, x) in the stack as displayed: a voxel in the midst of the largest object, or else of the volume."""
    if isinstance(shown, Segmentation) and shown.objects.any():
        objects = as_displayed(shown.image, shown.objects)
        voxels = np.argwhere(objects == 1 + np.bincount(objects.reshape(-1))[1:].argmax())
        return tuple(int(i) for i in voxels[((voxels - voxels.mean(0)) ** 2).sum(1).argmin()])
    return tuple(n // 2 for n in to_stack(image_of(shown)).spatial_shape)


def amounts(shown: Segmentation | MedicalImage) -> dict[str, str]:
    """{'Anterior 1.55 mL': its color, ...}, in voxels where the spacing is not known; empty without an answer."""
    if not isinstance(shown, Segmentation):
        return {}
    card, voxel = shown.card, shown.image.voxel_volume
    counts = np.bincount(shown.labels.reshape(-1), minlength=len(card.classes) + 1)[1:]
    sizes = [f"{n:,} voxels" if voxel is None else f"{n * voxel / 1000:.3g} mL" for n in counts]
    return {
        f"{c.capitalize()} {size}": color
        for c, size, color in zip(card.classes, sizes, card.colors, strict=True)
    }


def three_planes(shown, at: tuple[int, int, int] | None = None):
    """The three planes through voxel ``at`` (in the file's order; default: the largest object's centre). The figure."""
    shown = shown if isinstance(shown, Segmentation) else read_image(shown)
    if (image := image_of(shown)).is_single:
        raise ImageError(
            f"{image.name} is a single image, without slices: look at it with show(result)."
        )
    point = centre(shown)
    if at is not None:
        marker = np.zeros(image.spatial_shape, bool)
        marker[at] = True
        point = tuple(int(i) for i in np.argwhere(as_displayed(image, marker))[0])
    stacks = [facing(shown, axis) for axis in range(3)]
    heights, widths = zip(*map(extent, stacks))  # one scale for all three
    figure, (axes,) = panels(
        1, 3, (13, min(max(heights) * 12.5 / sum(widths) + 1.2, 8)), width_ratios=widths
    )
    names = BODY if image.lies_in_space and image.oriented else STACK
    for axis, (ax, (name, sides), height, width) in enumerate(
        zip(axes, names.items(), heights, widths, strict=True)
    ):
        down, right = (np.delete(point, axis) + 0.5) / image_of(stacks[axis]).spatial_shape[1:]
        down = 1 - down if axis and sides else down  # the head is up
        ax.imshow(view(stacks[axis], point[axis]), extent=(0, width, height, 0))
        ax.axhline(down * height, color=YELLOW, lw=1, ls=":")
        ax.axvline(right * width, color=YELLOW, lw=1, ls=":")
        for letter, x, y in zip(sides, (0.04, 0.96, 0.5), (0.5, 0.5, 0.95), strict=False):
            style = {
                "ha": "center",
                "va": "center",
                "color": "white",
                "fontsize": 12,
                "transform": ax.transAxes,
            }
            ax.text(
                x,
                y,
                letter,
                **style,
                bbox={"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "pad": 2},
            )
        ax.set_title(f"{name}, slice {point[axis]}")
    figure.suptitle(headline(image))
    if legend := [Patch(color=color, label=words) for words, color in amounts(shown).items()]:
        figure.legend(handles=legend, loc="outside lower center", ncols=len(legend), fontsize=11)
    return figure


def gallery(results):
    """Several results in one figure, three a row: overlay, name and number of objects. Returns the figure."""
    results = list(results)
    columns = max(1, min(3, len(results)))
    rows = max(1, -(-len(results) // columns))
    figure, axes = panels(rows, columns, (13 * columns / 3, 4.7 * rows))
    for ax, result in zip(axes.flat, results, strict=False):
        index = result.busiest_slice()
        ax.imshow(view(result if result.image.is_single else facing(result, 0), index))
        words = (
            fill(", ".join(amounts(result)), 44)
            if result.image.lies_in_space
            else found(result, 44)
        )
        ax.set_title(f"{headline(result.image, index)}\n{words}", fontsize=12)
    return figure


def playground(results: dict[str, Segmentation], truths: dict[str, np.ndarray] | None = None):
    """A widget of results by name: pick one, move the threshold, see the mask, its numbers and its Dice change.
    ``truths`` holds true labels of the images' shapes, for those of which they are known.
    """
    import ipywidgets as widgets

    choice = widgets.Dropdown(options=list(results), description="Image")
    slider = widgets.FloatSlider(
        min=0.05, max=0.95, step=0.05, description="Threshold", continuous_update=False
    )
    before, after = (
        widgets.Image(format="jpeg", layout=widgets.Layout(width="48%", margin="0 1% 0 0"))
        for _ in "12"
    )
    words = widgets.HTML()

    def draw(change=None) -> None:
        chosen = results[choice.value]
        result = (
            chosen if slider.value == chosen.threshold else replace(chosen, threshold=slider.value)
        )
        shown, index = (
            (result, None)
            if result.image.is_single
            else (facing(result, 0), chosen.busiest_slice())
        )
        pictures = (view(part, index)[..., ::-1] for part in (shown.image, shown))
        before.value, after.value = (
            cv2.imencode(".jpg", pixels)[1].tobytes() for pixels in pictures
        )
        said = (
            ", ".join(amounts(result)) if result.image.lies_in_space else in_words(result.summary())
        )
        truth = (truths or {}).get(choice.value)
        score = (
            ""
            if truth is None
            else f"<br>Dice against the expert's mask: <b>{dice(truth, result.labels):.3f}</b>"
        )
        names = ", ".join(suggest_model(result.image)) or "none"
        words.value = f"<b>{escape(result.card.title)}</b>, {result.card.name} (suggested: {names}): {said}{score}"

    def pick(change=None) -> None:
        if slider.value == results[choice.value].threshold:
            draw()
        slider.value = results[choice.value].threshold  # draws where it changes

    slider.observe(draw, names="value")
    choice.observe(pick, names="value")
    pick()
    return widgets.VBox([choice, slider, widgets.HBox([before, after]), words])


def live(result: Segmentation, height: int = 760):
    """The page of ``result.report`` inside a notebook: its slider moves without a kernel and without a network."""
    from IPython.display import HTML

    title, page, path = (
        f"{result.card.title}, {result.image.name}: live threshold",
        page_of(result),
        result.image.path,
    )
    if path is not None:  # without its folders: notebooks are shared
        page = page.replace(escape(str(path.absolute())), escape(path.name))
    style = f"width:100%;height:{height}px;border:1px solid #777"
    return HTML(
        f'<div><iframe title="{escape(title)}" style="{style}" srcdoc="{escape(page)}"></iframe></div>'
    )
