"""``paint``: a canvas in a notebook, on which strokes teach a structure or correct an answer."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import ArgumentError
from ..networks.cards import ModelCard
from ..networks.unet import UNet
from ..results.segmentation import Segmentation
from .desk import Desk
from .painter import Painter

# The scripts and the style of the canvas.
CANVAS = Path(__file__).parent / "canvas"


class Canvas:
    """A canvas in a notebook's cell; its ``painter`` has all that was painted.

    Parameters
    ----------
    desk : Desk
        The painter, and the file of its strokes.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.painter = desk.painter

    def result(self) -> Segmentation:
        """Return the answer as it is now.

        Returns
        -------
        Segmentation
            The answer.
        """
        return self.painter.result()

    def _ipython_display_(self) -> None:
        """Show the canvas: as plain HTML in Colab, else as a widget."""
        from IPython.display import HTML, display

        if "google.colab" in sys.modules:
            display(HTML(html_for_colab(self.desk)))
        elif find_spec("anywidget") is None:
            print("The canvas needs one more package: pip install anywidget")
        else:
            display(widget_of(self.desk))


def paint(
    image: Any,
    model: str | Path | ModelCard | UNet | None = None,
    *,
    classes: Sequence[str] = (),
    strokes: str | Path | None = None,
) -> Canvas:
    """Open a canvas in a notebook: paint a new structure, or correct a segmentation.

    Each stroke goes into a file at once. If the file exists already, for example after the kernel
    was restarted, its strokes are painted first.

    Parameters
    ----------
    image : path, numpy.ndarray, MedicalImage, Segmentation or Painter
        What to paint on, as for ``Painter``.
    model : str, Path, ModelCard or UNet, optional
        The network whose maps are read, as for ``Painter``.
    classes : sequence of str, optional
        Names of the new classes; the canvas can add more.
    strokes : str or pathlib.Path, optional
        The file of the strokes; by default ``strokes/`` with a name of its own for each image.

    Returns
    -------
    Canvas
        ``painter`` and ``result()`` give what was painted.

    Raises
    ------
    ArgumentError
        The file is of strokes on another image, or an argument does not fit.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> with TemporaryDirectory() as folder:
    ...     canvas = uh.paint(np.eye(64), "filters", strokes=f"{folder}/strokes.json")
    >>> canvas.painter.classes
    ('background',)
    """
    painter = image
    if not isinstance(image, Painter):
        painter = Painter(image, model, classes=classes)
    elif model is not None or classes:
        raise ArgumentError("A painter has its network and classes already: give neither.")

    path = Path("strokes") / f"{painter.image.name}_{painter.fingerprint()}.json"
    if strokes is not None:
        path = Path(strokes).expanduser()
    if path.exists() and not painter.strokes:
        count = painter.load_strokes(path)
        print(f"{count} strokes were taken up again from {path}.")
    return Canvas(Desk(painter, path))


def script(name: str) -> str:
    """Return the canvas with what links it to a kernel, as JavaScript."""
    files = [CANVAS / "canvas.js", CANVAS / name]
    return "\n".join(file.read_text("utf-8") for file in files)


def style() -> str:
    """Return the style of the canvas."""
    return (CANVAS / "canvas.css").read_text("utf-8")


@lru_cache(1)
def widget_class() -> type:
    """Make the class of the widget; anywidget is imported only when a canvas is shown."""
    import anywidget
    import traitlets

    class PaintWidget(anywidget.AnyWidget):
        """The canvas as a widget of Jupyter."""

        _esm = script("widget.js")
        _css = style()
        state = traitlets.Dict().tag(sync=True)

    return PaintWidget


def widget_of(desk: Desk) -> Any:
    """Make the widget of a desk."""
    widget = widget_class()(state=desk.state)

    def receive(_: Any, message: dict[str, Any], buffers: Any) -> None:
        reply, answer = desk.handle(message)
        pictures = [answer]
        if message.get("action") == "hello":
            pictures.append(desk.picture())
        widget.send(reply, pictures)

    widget.on_msg(receive)
    return widget


def html_for_colab(desk: Desk) -> str:
    """Register a function of the kernel, and return the canvas as HTML that calls it."""
    from google.colab import output
    from IPython.display import JSON

    name = f"unet_helpers.paint.{desk.painter.fingerprint()}"

    def receive(message: dict[str, Any]) -> JSON:
        reply, answer = desk.handle(message)
        return JSON({**reply, "answer": data_url(answer)})

    output.register_callback(name, receive)
    return html_of(desk, name)


def html_of(desk: Desk, callback: str) -> str:
    """Return the canvas as HTML that calls a function of the kernel by name."""
    content = {"state": desk.state, "picture": data_url(desk.picture()), "callback": callback}
    # '</' would end the script.
    as_json = json.dumps(content).replace("</", "<\\/")
    root = f"uh-{escape(desk.painter.fingerprint())}"
    return (
        f"<style>{style()}</style><div id='{root}'></div><script>(() => {{{script('colab.js')}\n"
        f"start(document.getElementById('{root}'), {as_json});}})();</script>"
    )


def data_url(content: bytes) -> str:
    """Return a PNG file as a URL that holds it."""
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
