"""``page``: a network in one HTML file that works without Python, a server or the internet."""

from __future__ import annotations

import base64
import zlib
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..errors import ArgumentError
from ..inference.raw_graph import PIXEL_TYPES, check_raw
from ..inference.working_size import NM_BELOW, UM_BELOW, in_words
from ..networks.cards import ModelCard
from ..networks.load import load_model
from ..networks.unet import UNet, fold_batch_norm
from ..results.output import made_aside, output_path
from ..results.report import PAGE as REPORT_PAGE
from ..results.report import VIEW_SCRIPTS, digest, slider_steps
from ..samples import FOLDER, table
from ..version import __version__
from .drawing import drawing_of
from .graphs import blocks_of, finishing_graph, open_network, preparing_graph, rounding_of
from .runtime import DICOM, JPEG_2000, LOSSLESS_JPEG, NIFTI, PACKAGES, PAKO, PNG, RUNTIME, TIFF

LIVE_PAGE = Path(__file__).with_name("live_page")
TEMPLATES = Environment(
    loader=FileSystemLoader([LIVE_PAGE, REPORT_PAGE]), autoescape=True, undefined=StrictUndefined
)

# JavaScript of the worker, in the order in which it is put together.
WORKER_SCRIPTS = (
    "read.js",
    "dicom.js",
    "fields.js",
    "segments.js",
    "chest.js",
    "objects.js",
    "inside_changes.js",
    "inside_worker.js",
    "worker.js",
)

# JavaScript of the page, beside that of the report.
PAGE_SCRIPTS = ("live.js", "inside.js", "inside_drawing.js", "inside_brush.js")

# Libraries of the worker, by the format that needs them.
LIBRARIES = {
    "tiff": (PAKO, TIFF),
    "png": (PAKO, PNG),
    "dicom": (DICOM,),
    "losslessJpeg": (LOSSLESS_JPEG,),
    "jpeg2000": (JPEG_2000,),
    "nifti": (NIFTI,),
}

# mm: the units in which the size of a pixel is told.
UNITS = {"nm": 1e-6, "µm": 1e-3, "mm": 1.0}

# px: the end of the slider for the width of an object; more where objects are usually wide.
WIDEST_OBJECT = 120

# Samples above this number of bytes are not put into the page.
LARGEST_SAMPLE = 600_000

# What a page does otherwise than the package: every page, and those of some cards.
OTHERWISE = {
    "every card": (
        "Nothing checks whether the image suits the network, and how good the answer may be.",
        "Padding, scale bars and frames of one colour are read as they are; an image of nothing but"
        " background is not recognised unless it is constant.",
        "Pixels that are not square are not made square, and missing values are not filled.",
        "Slices of a volume are seen one by one, without their neighbours.",
        "The table holds sizes and places in pixels; Python's has more measurements.",
        "Large images are resized before they are cut into tiles, not after.",
    ),
    "scale: field of view": (
        "An eye in a dark surround is found as in Python; one seen through a lens in a bright room"
        " is not.",
    ),
    "scale: objects": (
        "The size of objects is not searched: set it above the picture.",
        "The intensities of almost empty fields, and of those with a very bright speck, are not"
        " corrected by their objects.",
    ),
    "small objects": (
        "An image with small objects is not enlarged: set a smaller width above the picture.",
    ),
    "with a pixel size": (
        "The size of a pixel is read from DICOM and NIfTI alone: else set the scale above the"
        " picture.",
    ),
    "measures: chest": ("A mirrored film is not recognised, and widths are in pixels.",),
    "class of: segment": (
        "The centre lines along which the pixels of a vessel vote are a little different, so that a"
        " few pixels get another class; vessels are not measured around the optic disc.",
    ),
}


def page(
    model: str | Path | ModelCard | UNet,
    path: str | Path,
    *,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Write a network as one HTML file: open it by a double click, and drop an image on it.

    The file holds the network (weights in 16 bits), its preparation of images and ONNX Runtime for
    browsers. It shows the answer with a slider for the threshold, and saves mask and table. Nothing
    is installed or sent. The runtime is downloaded once (33 MB) and kept in the cache. Needs the
    packages onnx and onnxscript.

    Parameters
    ----------
    model
        Name, card, file or network, of one that reads single images.
    path
        The file to write; ``~`` is the home.
    overwrite
        Whether an existing file is replaced.
    progress
        Whether to show a bar during a download.

    Returns
    -------
    Path
        The file, of 10 to 12 MB.

    Raises
    ------
    ArgumentError
        If packages are missing, or the network reads volumes.
    DownloadError
        If the runtime cannot be fetched.
    SaveError
        If the file exists, or cannot be written.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> uh.page("hippocampus", "page.html")  # reads volumes
    Traceback (most recent call last):
    unet_helpers.errors.ArgumentError: hippocampus: it searches structures in volumes, ...
    """
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise ArgumentError("A page needs two more packages: pip install onnx onnxscript")
    network = load_model(model, engine="torch")
    check_raw(network.card)
    # A network that can be trained has batch norms, which are folded in a copy.
    network = fold_batch_norm(deepcopy(network))
    path = output_path(path)
    with made_aside(path, path.parent, overwrite) as aside:
        text = text_of(network, progress)
        (aside / path.name).write_text(text, encoding="utf-8")
    return path


def text_of(model: UNet, progress: bool) -> str:
    """Return the text of a page."""
    card = model.card
    rounding = rounding_of(model)
    arrays = {
        "network": open_network(model).SerializeToString(),
        "finish": finishing_graph(card, model.out_channels).SerializeToString(),
    }
    for pixel_type in PIXEL_TYPES:
        graph = preparing_graph(card, model.in_channels, pixel_type)
        arrays[f"prepare_{pixel_type}"] = graph.SerializeToString()

    arrays["runtime"], arrays["wasm"] = RUNTIME.read(progress).values()
    for packages in LIBRARIES.values():
        for package in packages:
            arrays |= package.read(progress)

    sample = sample_of(card)
    if sample is not None:
        arrays["sample"] = sample.read_bytes()

    script = scripts(REPORT_PAGE, VIEW_SCRIPTS) + scripts(LIVE_PAGE, PAGE_SCRIPTS)
    style = scripts(REPORT_PAGE, ("page.css",)) + scripts(LIVE_PAGE, ("live.css",))
    worker = scripts(REPORT_PAGE, ("mask.js",)) + scripts(LIVE_PAGE, WORKER_SCRIPTS)
    scale = scale_of(card)
    return TEMPLATES.get_template("live.html.j2").render(
        card=card,
        style=style,
        style_hash=digest(style),
        script=script,
        script_hash=digest(script),
        worker=worker,
        sample=sample,
        scale=scale,
        facts=facts_of(model, scale, sample),
        arrays={name: packed(content) for name, content in arrays.items()},
        differences=differences_of(card),
        about=about(model, rounding, sample),
        drawing=drawing_of(model),
    )


def differences_of(card: ModelCard) -> list[str]:
    """Return what a card's page does otherwise than the package, in sentences."""
    groups = [
        "every card",
        f"scale: {card.preprocessing.scale}",
        "small objects" if card.preprocessing.smallest_objects else "",
        "with a pixel size" if card.preprocessing.spacing else "",
        f"measures: {card.measures}",
        f"class of: {card.class_of}",
    ]
    return [text for group in groups for text in OTHERWISE.get(group, ())]


def scripts(folder: Path, names: tuple[str, ...]) -> str:
    """Return the text of files, one after the other."""
    return "".join((folder / name).read_text(encoding="utf-8") for name in names)


def packed(content: bytes) -> str:
    """Return bytes zlib-compressed, in base64, as the page unpacks them."""
    return base64.b64encode(zlib.compress(content, 9)).decode()


@dataclass(frozen=True)
class Scale:
    """What a person sets in the page: the width of an object, or the size of a pixel."""

    kind: str  # 'diameter' or 'spacing'
    size: float  # what the network learnt: px, or the unit
    start: float  # what is set at first, in the same unit
    spacing: float = 0.0  # mm: the size of a pixel that the network learnt; 0 if it has none
    name: str = "px"
    usual: str = ""  # size of a pixel, in words, to which ``start`` belongs where none is known

    @property
    def most(self) -> float:
        """The end of a slider that begins at ``start``."""
        return max(WIDEST_OBJECT, 2 * self.start)


def scale_of(card: ModelCard) -> Scale | None:
    """Return what sets the scale of a card; None if the graph finds it."""
    preprocessing = card.preprocessing
    if preprocessing.scale in ("square", "field of view"):
        return None
    if card.object_diameter:
        spacing = preprocessing.spacing or 0.0
        width = card.object_diameter
        usual = ""
        if preprocessing.usual_spacing:
            width = round(width * spacing / preprocessing.usual_spacing)
            usual = in_words(preprocessing.usual_spacing)
        return Scale("diameter", card.object_diameter, width, spacing, usual=usual)
    if preprocessing.spacing is None:
        return None

    name = "mm"
    if preprocessing.spacing < NM_BELOW:
        name = "nm"
    elif preprocessing.spacing < UM_BELOW:
        name = "µm"
    size = round(preprocessing.spacing / UNITS[name], 6)
    usual_spacing = preprocessing.usual_spacing or preprocessing.spacing
    start = round(usual_spacing / UNITS[name], 6)
    return Scale("spacing", size, start, preprocessing.spacing, name)


def sample_of(card: ModelCard) -> Path | None:
    """Return the first shipped sample of a card that is a picture and small enough, or None."""
    for row in table().values():
        if row["card"] not in (card.name, card.images_of) or "file" not in row:
            continue
        path = FOLDER / str(row["file"])
        if path.suffix in (".png", ".jpg") and path.stat().st_size <= LARGEST_SAMPLE:
            return path
    return None


def facts_of(model: UNet, scale: Scale | None, sample: Path | None) -> dict[str, Any]:
    """Return what the page's JavaScript needs to know about the network."""
    card = model.card
    steps = slider_steps(card.threshold)
    return {
        "card": {
            "card": card.name,
            "classes": card.classes,
            "colors": card.colors,
            "steps": steps.tolist(),
            "threshold": int(np.searchsorted(steps, np.float32(card.threshold))),
            "share": card.min_component_share,
            "method": card.instance_method,
            "objectDiameter": card.object_diameter,
            "classOf": card.class_of,
            "measures": card.measures,
            "layers": len(card.classes) if card.overlapping else 1,
        },
        "inChannels": model.in_channels,
        "outChannels": model.out_channels,
        "hasBackground": card.has_background,
        "depth": model.depth,
        "flips": min(card.flips, 2),
        "blocks": [vars(block) for block in blocks_of(model)],
        "scale": None if scale is None else vars(scale),
        "sample": None if sample is None else sample.name,
        "libraries": {
            kind: [file for package in packages for file in package.files]
            for kind, packages in LIBRARIES.items()
        },
    }


def about(model: UNet, rounding: float, sample: Path | None) -> dict[str, str]:
    """Return what the page says about itself, by heading."""
    card = model.card
    texts = {
        "Card": f"{card.name}, of unet_helpers {__version__}",
        "Intended use": card.intended_use,
        "Limits": card.limits,
        "Scores": "; ".join(card.score_texts),
        "Training data": card.data,
        "Licence of the data": card.licence,
        "Citation": card.citation,
        "Weights (SHA-256)": model.weights_sha256,
        "Weights in this page": (
            f"rounded to 16 bits, which changed a probability by at most {rounding:.1g} in an image"
            " of noise"
        ),
    }
    for package in PACKAGES:
        texts[f"{package.name} {package.version}"] = (
            f"licence {package.licence}; archive's SHA-256 {package.sha256}"
        )
    if sample is not None:
        rows = [row for row in table().values() if row.get("file") == sample.name]
        texts["Sample"] = f"{rows[0]['title']}; {rows[0]['licence']}; {rows[0]['citation']}"
    return {heading: text for heading, text in texts.items() if text}
