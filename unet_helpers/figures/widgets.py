"""Interactive results: a widget for a running notebook, and a page that needs no kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ..checks.suggest import suggest_model
from ..results.measurements import measured_in_words
from ..results.metrics import dice
from ..results.report import page_of
from ..results.segmentation import Segmentation
from .frames import framed
from .volumes import render, reslice, volume_by_class

if TYPE_CHECKING:
    import ipywidgets
    from IPython.display import HTML

# Quality of the playground's JPEGs, 1 to 100. A saved notebook keeps those of its first result.
QUALITY = 80


@dataclass(frozen=True)
class PlaygroundContent:
    """What the playground shows for one result at one threshold."""

    image: bytes  # JPEG file
    overlay: bytes  # JPEG file
    text: str  # HTML


def playground(
    results: Mapping[str, Segmentation], truths: Mapping[str, np.ndarray] | None = None
) -> ipywidgets.VBox:
    """Make a widget to choose a result and move its threshold; mask and numbers follow.

    Parameters
    ----------
    results : mapping of str to Segmentation
        Results by name, at least one.
    truths : mapping of str to numpy.ndarray, optional
        True labels by the same names, with the images' spatial shapes. Results may be missing. The
        widget shows the Dice of those that are given.

    Returns
    -------
    ipywidgets.VBox
        It needs a running notebook.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = uh.read_image(uh.sample("fluorescence"))
    >>> probabilities = np.zeros((3, 512, 512), np.float32)
    >>> result = uh.Segmentation(image, uh.MODELS["nuclei"], probabilities, threshold=0.5)
    >>> choice, slider, pictures, text = uh.playground({"nothing found": result}).children
    >>> slider.value
    0.5
    """
    import ipywidgets as widgets

    truths = truths or {}
    choice = widgets.Dropdown(options=list(results), description="Image")
    slider = widgets.FloatSlider(
        min=0.05, max=0.95, step=0.05, description="Threshold", continuous_update=False
    )
    half_page = widgets.Layout(width="48%", margin="0 1% 0 0")
    image = widgets.Image(format="jpeg", layout=half_page)
    overlay = widgets.Image(format="jpeg", layout=half_page)
    text = widgets.HTML()

    def draw(change: Any = None) -> None:
        name = choice.value
        content = content_at(results[name], slider.value, truths.get(name))
        image.value = content.image
        overlay.value = content.overlay
        text.value = content.text

    def pick(change: Any = None) -> None:
        threshold = results[choice.value].threshold
        if slider.value == threshold:
            draw()
        else:
            # Moving the slider calls ``draw``.
            slider.value = threshold

    slider.observe(draw, names="value")
    choice.observe(pick, names="value")
    pick()
    return widgets.VBox([choice, slider, widgets.HBox([image, overlay]), text])


def content_at(
    result: Segmentation, threshold: float, truth: np.ndarray | None
) -> PlaygroundContent:
    """Draw and describe a result at a threshold, with its Dice if the truth is known."""
    # Choose the slice before the threshold changes, so that it is the same at every threshold.
    index = None
    if not result.image.is_single:
        index = result.busiest_slice()
    if threshold != result.threshold:
        result = replace(result, threshold=threshold)
    displayed = result
    if index is not None:
        displayed = reslice(result, axis=0)

    return PlaygroundContent(
        image=jpeg(render(displayed.image, index)),
        overlay=jpeg(render(displayed, index)),
        text=describe_as_html(result, truth),
    )


def jpeg(pixels: np.ndarray) -> bytes:
    """Encode (H, W, 3) uint8 as a JPEG file."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return encoded.tobytes()


def describe_as_html(result: Segmentation, truth: np.ndarray | None) -> str:
    """Describe the network and the answer, and give the Dice if the truth is known."""
    if result.image.lies_in_space:
        amounts = ", ".join(volume_by_class(result))
    else:
        amounts = measured_in_words(result)
    suggested = ", ".join(suggest_model(result.image)) or "none"
    title = f"<b>{escape(result.card.title)}</b>"
    text = f"{title}, {result.card.name} (suggested: {suggested}): {amounts}"

    assessment = result.assessment
    text += f'<br><span style="color:{assessment.colour}">{escape(assessment.sentence)}</span>'
    if truth is not None:
        score = dice(truth, result.labels)
        text += f"<br>Dice against the expert's mask: <b>{score:.3f}</b>"
    return text


def live(result: Segmentation, height: int = 760) -> HTML:
    """Show the page of ``result.report`` inside a notebook.

    The slider needs neither a running kernel nor the internet, also in a saved notebook.

    Parameters
    ----------
    result : Segmentation
        What ``segment`` returned.
    height : int
        Height in px; the page scrolls if it is longer.

    Returns
    -------
    IPython.display.HTML
        The page; a notebook shows it if it is the last line of a cell.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = uh.MedicalImage(np.zeros((8, 8), np.uint8), "YX")
    >>> probabilities = np.zeros((1, 8, 8), np.float32)
    >>> probabilities[0, 2:6, 2:6] = 1
    >>> result = uh.Segmentation(image, uh.MODELS["lungs"], probabilities, threshold=0.5)
    >>> uh.live(result).data[:12]
    '<div><iframe'
    """
    page = page_of(result)
    path = result.image.path
    if path is not None:
        # Notebooks are shared, so the page must not reveal the folders of the image.
        page = page.replace(escape(str(path.absolute())), escape(path.name))

    title = f"{result.card.title}, {result.image.name}: live threshold"
    return framed(page, title, height)
