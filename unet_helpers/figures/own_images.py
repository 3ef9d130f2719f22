"""``OwnImages``: a person's own images in a notebook, from a field to pictures and a table."""

from __future__ import annotations

import base64
import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..errors import UNetHelpersError
from ..inference.sources import find_images
from ..networks.cards import MODELS
from ..networks.load import load_model
from ..palette import TEXT_DOUBTFUL
from ..results.measurements import measured_in_words
from ..results.segmentation import Segmentation
from ..session import described_jpeg, save_uploads
from .show import show
from .viewer import gallery

if TYPE_CHECKING:
    import ipywidgets
    from IPython.display import DisplayHandle
    from matplotlib.figure import Figure

# The choice that takes the first network of ``suggest_model`` for each image.
SUGGESTED = "suggested"

# Most images in the gallery; the table has all.
MAX_IN_GALLERY = 12

# Width of a picture on the page in px, stored px per px on the page, and quality of the JPEG.
WIDTH = 940
DENSITY = 1.4
QUALITY = 72


class OwnImages:
    """Segment a file, a folder, a web address or uploads; a small form in a notebook.

    As the last line of a cell it shows fields for the image and the network, and below them the
    answer: one image with its overlay and probability, several as a gallery and a table. An image
    that cannot be read or segmented is one sentence, and nothing of an earlier answer stays.

    Parameters
    ----------
    source : str, Path, array, MedicalImage or list
        What to begin with, an input of ``segment_many``. If it is empty, ``example`` is taken.
    model : str, default 'suggested'
        A card's name, or 'suggested': the first network of ``suggest_model`` for each image.
    example : path, array or MedicalImage, optional
        The image that stands in for an empty field.

    Attributes
    ----------
    results : list of Segmentation
        The answers, in the order of the images.
    errors : list of str
        A sentence for each image that has none.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> own = uh.OwnImages(uh.sample("fluorescence"), "nuclei")
    >>> own.results[0].image.name
    'fluorescence'
    >>> own.segment("nowhere.png", "nuclei")
    >>> own.results
    []
    >>> len(own.errors)
    1
    """

    def __init__(self, source: Any = "", model: str = SUGGESTED, example: Any = None) -> None:
        self.example = example
        self.model = model
        self.source = source
        self.results: list[Segmentation] = []
        self.errors: list[str] = []
        self.handle: DisplayHandle | None = None
        self.segment(source, model)

    def segment(self, source: Any, model: str) -> None:
        """Segment the images of a source; earlier results and errors are forgotten first."""
        self.results = []
        self.errors = []
        if isinstance(source, str):
            # A path that was copied from a file manager may be in quotes.
            source = source.strip("\"' ")
        is_empty = isinstance(source, str | list) and not source
        if is_empty and self.example is not None:
            source = self.example

        try:
            self.segment_each(source, model)
        except UNetHelpersError as error:
            self.errors.append(str(error))
        finally:
            self.update(self.panel())

    def segment_each(self, source: Any, model: str) -> None:
        """Segment one image after the other, and tell which it is."""
        network = None if model == SUGGESTED else load_model(model)
        images = find_images(source)
        if not images:
            self.errors.append(f"{source}: there is nothing in this folder.")

        for number, image in enumerate(images, 1):
            self.update(f"<p>Segmenting image {number} of {len(images)} …</p>")
            try:
                self.results.append(image.segmented(network, progress=False))
            except UNetHelpersError as error:
                self.errors.append(str(error))

    def update(self, html: str) -> None:
        """Replace what is shown below the fields, if it is shown."""
        if self.handle is not None:
            from IPython.display import HTML

            self.handle.update(HTML(html))

    def panel(self) -> str:
        """Return what is shown below the fields, as HTML."""
        parts = [
            f'<p style="color:{TEXT_DOUBTFUL}">{escape(sentence)}</p>' for sentence in self.errors
        ]
        if len(self.results) == 1:
            (result,) = self.results
            parts.append(f"<p>{escape(described(result))}</p>")
            parts.append(picture_in_html(show(result)))
        elif self.results:
            shown = self.results[:MAX_IN_GALLERY]
            parts.append(f"<p>{len(self.results)} images, {len(shown)} of them as pictures.</p>")
            parts.append(picture_in_html(gallery(shown)))
            parts.append(self.table().to_html(index=False, border=0))
        return "\n".join(parts) or "<p>No answer: the notebook's log says why.</p>"

    def table(self) -> pd.DataFrame:
        """Return a table with a row for each result."""
        rows = [
            {
                "Image": result.image.name,
                "Network": result.card.name,
                "Found": measured_in_words(result),
                "How good": result.assessment.sentence,
            }
            for result in self.results
        ]
        return pd.DataFrame(rows)

    def form(self) -> ipywidgets.VBox:
        """Return the fields: the image, the network, files to upload outside of Colab, a button."""
        import ipywidgets as widgets

        text = str(self.source) if isinstance(self.source, str | Path) else ""
        image = widgets.Text(
            value=text,
            placeholder="path of a file or folder, or a web address",
            description="Image",
            layout=widgets.Layout(width="min(100%, 40rem)"),
        )
        choices = [SUGGESTED, *MODELS]
        network = widgets.Dropdown(options=choices, value=self.model, description="Network")
        files = widgets.FileUpload(multiple=True, description="or choose files")
        button = widgets.Button(description="Segment", button_style="primary")

        def run(clicked: Any) -> None:
            # What has no text, such as uploads, is meant as long as nothing is written.
            source = self.source if image.value == text else image.value
            self.segment(source, network.value)

        def run_uploads(change: Any) -> None:
            if change["new"]:
                self.segment(save_uploads(contents_of(change["new"])), network.value)

        button.on_click(run)
        files.observe(run_uploads, names="value")

        fields = [image, network, button]
        if "google.colab" not in sys.modules:
            # Colab uploads large files by its own means: ``uh.upload()``.
            fields.insert(1, files)
        return widgets.VBox(fields)

    def _ipython_display_(self) -> None:
        """Show the fields, and below them the answer."""
        from IPython.display import HTML, display

        display(self.form())
        self.handle = display(HTML(self.panel()), display_id=True)


def described(result: Segmentation) -> str:
    """Say in a line which network was taken, and what was found."""
    notes = " ".join(result.image.notes)
    return f"{result.image.name} by {result.card.name}: {measured_in_words(result)}. {notes}"


def picture_in_html(figure: Figure) -> str:
    """Return a figure as an HTML image, with its titles as the text for screen readers."""
    content, facts = described_jpeg(figure, WIDTH, DENSITY, QUALITY)
    address = f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
    alternative = escape(str(facts["alt"]))
    style = "max-width:100%;height:auto"
    return f'<img src="{address}" alt="{alternative}" width="{facts["width"]}" style="{style}">'


def contents_of(uploaded: Any) -> dict[str, bytes]:
    """Return the uploaded files by name; ipywidgets 7 has a mapping, ipywidgets 8 a tuple."""
    if isinstance(uploaded, Mapping):
        return {name: bytes(file["content"]) for name, file in uploaded.items()}
    return {file["name"]: bytes(file["content"]) for file in uploaded}
