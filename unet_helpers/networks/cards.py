"""What is known of one pretrained network: how it reads an image, its task, its data and its terms.

The card of each lies beside its weights, as JSON of all that differs from the defaults here.
"""

import json
from dataclasses import dataclass
from pathlib import Path

RENAMED = {
    "reading": "preprocessing",
    "separate": "instance_method",
    "smallest_region": "min_component_share",
}
SLICED = {
    "three": {"axes": (0, 1, 2)},
    "published": {"method": "buda2019"},
}  # values of the former field 'planes'
WEIGHTS = Path(__file__).parent.parent / "weights"


@dataclass(frozen=True)
class Preprocessing:
    """How a network reads an image."""

    method: str = "slices"  # 'slices': slice by slice; 'buda2019': a volume at a time, as the published network does
    channels: str = "grey"  # 'grey', 'green' of a photograph, 'flair' (second of three), 'rgb', 'stain' (without brown)
    intensities: str = "percentile"  # over the image or volume; 'head': without the air; 'local': flat illumination
    percentiles: tuple[float, float] = (0.5, 99.5)  # brought onto 0 and 1
    sigma: float = 30.0  # working px, of the local z-score
    scale: str = (
        "native"  # 'native', 'square', 'field of view' or 'objects': what is brought to ``size``
    )
    size: int = (
        0  # working px: side of the square, width of the field of view, diameter of an object
    )
    spacing: float | None = (
        None  # mm per working px, where the image's own is known; None: as ``scale`` says
    )
    context: int = 0  # slices of a volume on each side that are read along; a single image is its own neighbour
    axes: tuple[int, ...] = (
        0,
    )  # of a volume (Z, Y, X): those along which it is sliced; the answers are averaged


@dataclass(frozen=True)
class Localise:
    """Where structures lie in a template, to be found in a larger image: the network sees boxes around them."""

    template: str  # a NIfTI file in templates/
    names: tuple[str, ...]  # of the structures, each of which is one object
    centres: tuple[
        tuple[float, float, float], ...
    ]  # mm in the template's world, to the right, front and head
    box: tuple[int, int, int]  # voxels of the card's spacing, to the right, front and head
    beyond: float = 100.0  # mm: a smaller image, along any axis, is a crop
    volumes: tuple[float, float] = (0.0, 1e9)  # mL that are plausible

    def wanted(self, stack) -> bool:
        """Is this (Z, Y, X) stack more than a crop?"""
        sizes = [n * step for n, step in zip(stack.pixels.shape, stack.spacing or ())]
        return stack.pixels.ndim == len(sizes) == 3 and min(sizes) > self.beyond


@dataclass(frozen=True)
class ModelCard:
    """One pretrained network: its task, how it reads, what it answers, how well, and under which terms."""

    name: str
    title: str
    modality: str
    classes: tuple[str, ...]
    colors: tuple[str, ...]  # one a class, from the colour-blind-safe palette of Okabe and Ito
    preprocessing: Preprocessing = Preprocessing()
    localise: Localise | None = None
    out_channels: int = 1
    features: int = 16
    depth: int = 4
    threshold: float = 0.5
    instance_method: str = (
        "components"  # how objects are told apart: 'components', 'interiors', 'membranes'
    )
    measures: str = (
        "objects"  # what says most about an answer: 'objects', or the length and width of a 'tree'
    )
    objects: str = "volumes"  # 'volumes' are joined through the depth of a stack, 'slices' are not
    min_component_share: float = (
        0.0  # of the largest component's size; smaller components are dropped; 1: all others
    )
    flips: int = 1  # answers averaged: 1 as is, 2 mirrored, 4 with half turns, 8 with quarter turns
    int8_ranges: tuple[
        tuple[float, float], ...
    ] = ()  # of what goes into each inner convolution; see ``compiled``
    file: str = ""
    sha256: str = ""
    url: str = ""
    mirrors: tuple[str, ...] = ()
    prevalence: float = (
        0.0  # of the structure in its field of view, in the training data; see ``at_prevalence``
    )
    usual_share: tuple[float, float] = (
        0.0,
        1.0,
    )  # of an image that is found; less or more is doubted
    dicom: tuple[str, ...] = ()  # DICOM's codes of the modality; empty: any
    sequence: str = ""  # of MRI, a key of ``checks.SEQUENCES``
    data: str = ""
    licence: str = ""
    citation: str = ""
    scores: tuple[str, ...] = ()
    intended_use: str = "Research and teaching, not diagnosis."
    limits: str = ""

    @property
    def in_channels(self) -> int:
        return (
            3
            if self.preprocessing.channels in ("rgb", "stain")
            else 1 + 2 * self.preprocessing.context
        )


def card_of(fields: dict) -> ModelCard:
    """A card from its JSON, also of versions before 0.2, in which some fields had other names."""
    fields = {RENAMED.get(name, name): value for name, value in fields.items()}
    nested = dict(fields.pop("preprocessing", {}))
    nested |= SLICED.get(nested.pop("planes", "first"), {})
    if fields.get("localise"):
        fields["localise"] = Localise(**frozen(fields["localise"]))
    return ModelCard(**frozen(fields), preprocessing=Preprocessing(**frozen(nested)))


def frozen(value):
    """With tuples for the lists of JSON."""
    if isinstance(value, dict):
        return {name: frozen(part) for name, part in value.items()}
    return tuple(map(frozen, value)) if isinstance(value, list) else value


MODELS = {
    path.stem: card_of(json.loads(path.read_text("utf-8")))
    for path in sorted(WEIGHTS.glob("*.json"))
}
