"""A result to play with: a gallery with a live threshold in a running notebook, and a page that lives without one."""

from dataclasses import replace
from html import escape

import cv2
import numpy as np

from ..results.measurements import in_words
from ..results.metrics import dice
from ..results.report import page_of
from ..results.segmentation import Segmentation
from .volumes import amounts, facing, view


def playground(results: dict[str, Segmentation], truths: dict[str, np.ndarray] | None = None):
    """A widget of results by name: pick one, move the threshold, see the mask, its numbers and its Dice change.

    ``truths`` holds true labels of the images' shapes, for those of which they are known.
    """
    import ipywidgets as widgets

    choice = widgets.Dropdown(options=list(results), description="Image")
    slider = widgets.FloatSlider(min=0.05, max=0.95, step=0.05, description="Threshold", continuous_update=False)
    before, after = (widgets.Image(format="jpeg", layout=widgets.Layout(width="48%", margin="0 1% 0 0")) for _ in "12")
    words = widgets.HTML()

    def draw(change=None) -> None:
        chosen = results[choice.value]
        result = chosen if slider.value == chosen.threshold else replace(chosen, threshold=slider.value)
        shown, index = (result, None) if result.image.is_single else (facing(result, 0), chosen.busiest_slice())
        pictures = (view(part, index)[..., ::-1] for part in (shown.image, shown))
        before.value, after.value = (cv2.imencode(".jpg", pixels)[1].tobytes() for pixels in pictures)
        said = ", ".join(amounts(result)) if result.image.lies_in_space else in_words(result.summary())
        truth = (truths or {}).get(choice.value)
        score = "" if truth is None else f"<br>Dice against the expert's mask: <b>{dice(truth, result.labels):.3f}</b>"
        words.value = f"<b>{escape(result.card.title)}</b>, network <code>{result.card.name}</code>: {said}{score}"

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

    title, page, path = f"{result.card.title}, {result.image.name}: live threshold", page_of(result), result.image.path
    if path is not None:  # without its folders: notebooks are shared
        page = page.replace(escape(str(path.absolute())), escape(path.name))
    style = f"width:100%;height:{height}px;border:1px solid #777"
    return HTML(f'<div><iframe title="{escape(title)}" style="{style}" srcdoc="{escape(page)}"></iframe></div>')


slices = live  # the name in version 0.1
