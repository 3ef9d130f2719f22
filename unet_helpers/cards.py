"""The pretrained networks: everything there is to know about each one, in one frozen card."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """How a network reads an image."""

    channels: str = "grey"  # 'grey', 'green' (of a colour photograph) or 'rgb'
    intensities: str = "percentile"  # over the image or volume; 'head': without the air; 'local': flat illumination
    percentiles: tuple[float, float] = (0.5, 99.5)  # brought onto 0 and 1
    sigma: float = 30.0  # working px, of the local z-score
    scale: str = "native"  # 'native', 'square', 'field of view' or 'objects': what is brought to ``size``
    size: int = 0  # working px: side of the square, width of the field of view, diameter of an object
    planes: str = "first"  # of a volume: slices along its 'first' axis, or along all 'three', averaged


@dataclass(frozen=True)
class ModelCard:
    """One pretrained network: its task, how it reads, what it answers, how well, and under which terms."""

    name: str
    title: str
    modality: str
    classes: tuple[str, ...]
    colors: tuple[str, ...]  # one a class, from the colour-blind-safe palette of Okabe and Ito
    reading: Reading = Reading()
    out_channels: int = 1
    features: int = 16
    depth: int = 4
    threshold: float = 0.5
    separate: str = "components"  # how objects are told apart: 'components', 'interiors', 'membranes'
    keep_largest: bool = False  # only the largest connected region of a volume counts
    flips: int = 1  # answers averaged: 1 as is, 4 flips, 8 flips and quarter turns
    file: str = ""
    sha256: str = ""
    url: str = ""
    mirrors: tuple[str, ...] = ()
    data: str = ""
    licence: str = ""
    citation: str = ""
    scores: tuple[str, ...] = ()
    intended_use: str = "Research and teaching, not diagnosis."
    limits: str = ""

    @property
    def in_channels(self) -> int:
        return 3 if self.reading.channels == "rgb" else 1


MODELS = {
    card.name: card
    for card in (
        ModelCard(
            name="retinal_vessels",
            title="Blood vessels of the retina",
            modality="colour fundus photograph",
            classes=("vessel",),
            colors=("#56B4E9",),
            reading=Reading(channels="green", intensities="local", scale="field of view", size=1000, sigma=25),
            flips=4,
        ),
        ModelCard(
            name="nuclei",
            title="Cell nuclei",
            modality="fluorescence, stained tissue, bright field",
            classes=("interior", "border"),
            colors=("#E69F00", "#56B4E9"),
            reading=Reading(channels="rgb", percentiles=(0.1, 99.9), scale="objects", size=24),
            out_channels=3,
            separate="interiors",
        ),
        ModelCard(
            name="em_membranes",
            title="Membranes of nerve cells",
            modality="electron microscopy",
            classes=("membrane",),
            colors=("#56B4E9",),
            separate="membranes",
            flips=8,
        ),
        ModelCard(
            name="lungs",
            title="Lung fields",
            modality="chest X-ray, frontal",
            classes=("lung",),
            colors=("#56B4E9",),
            reading=Reading(scale="square", size=256),
        ),
        ModelCard(
            name="brain_flair",
            title="FLAIR abnormality",
            modality="brain MRI, FLAIR",
            classes=("abnormality",),
            colors=("#E69F00",),
            reading=Reading(intensities="head", scale="square", size=192),
            keep_largest=True,
        ),
        ModelCard(
            name="hippocampus",
            title="Hippocampus",
            modality="T1 MRI around the hippocampus",
            classes=("anterior", "posterior"),
            colors=("#E69F00", "#56B4E9"),
            reading=Reading(planes="three"),
            out_channels=3,
        ),
    )
}
