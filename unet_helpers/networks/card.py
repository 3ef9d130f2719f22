"""The card of a network: input, task, training data, scores and terms of use."""

import re
from dataclasses import dataclass
from typing import Literal

from .anatomy import ExpectedParts, Localise
from .channels import check_channels
from .scores import Score, score_texts
from .validation import check_types, require

Method = Literal["slices", "buda2019"]
Channels = Literal["grey", "green", "flair", "rgb", "stain"]
Intensities = Literal["percentile", "head", "local"]
Scale = Literal["native", "square", "field of view", "objects"]
InstanceMethod = Literal["components", "interiors", "membranes"]
Measures = Literal["objects", "tree", "chest"]
Objects = Literal["volumes", "slices"]
ClassOf = Literal["pixel", "segment"]
Frames = Literal["separate", "linked"]
Flips = Literal[1, 2, 4, 8]
PixelFeatures = Literal["", "filters", "network and filters"]
MriSequence = Literal[
    "",
    "flair",
    "t1",
    "t2",
    "proton density",
    "diffusion",
    "susceptibility",
    "perfusion",
    "angiography",
]

Direction = Literal["frontal", "lateral", "oblique"]

# Names of structures on the two sides of the body.
SIDES = {"left", "right"}

# Values of ``Preprocessing.channels`` with which a network reads red, green and blue.
IN_COLOUR = ("rgb", "stain")

# A colour: red, green and blue in hexadecimal digits.
COLOR = re.compile("#[0-9A-Fa-f]{6}")


@dataclass(frozen=True)
class Preprocessing:
    """How a network reads an image. Raises ModelError for invalid values.

    Parameters
    ----------
    method
        ``"slices"``: slice by slice; ``"buda2019"``: a volume at a time, as the published network
        does.
    channels
        The channels that are read: ``"grey"``; ``"green"`` of a photograph; ``"flair"``, the second
        of three MRI sequences; ``"rgb"``; ``"stain"``, colours without the brown of DAB.
    intensities
        How intensities are scaled: by percentiles of the whole image or volume
        (``"percentile"``), by percentiles of each slice without the air around a head (``"head"``),
        or by a local z-score, which flattens the illumination (``"local"``).
    percentiles
        Lower and upper percentile, which are mapped to 0 and 1.
    sigma
        Standard deviation of the local z-score's Gaussian, in working px.
    scale
        What is resized to ``size``: nothing (``"native"``), the image (``"square"``), the
        ``"field of view"`` of a photograph, or the ``"objects"`` in it.
    size
        In working px: side of the square, width of the field of view, or diameter of an object.
    largest_size
        Width in working px at which a field of view is seen whose own width is this or more. One
        that is narrower, but wider than ``size``, is seen at its own px. 0: each at ``size``.
    smallest_objects
        Width in working px: an image whose typical object is narrower is enlarged until that is as
        wide, by ``ENLARGED_AT_MOST`` of ``inference.object_zoom``. 0: it is not looked at.
    spacing
        mm per working px, used if the image's own spacing is known; None: always use ``scale``.
    usual_spacing
        mm per px of an image whose own spacing is not known; None: use ``scale``.
    context
        Number of neighbouring slices on each side that are read together with a slice. Beyond its
        ends the volume's first or last slice is repeated.
    axes
        Axes of a volume (0: Z, 1: Y, 2: X) along which it is sliced; the answers are averaged.
    dims
        Axes of what the network convolves: 2, slices; 3, grey volumes as a whole.
    logit_shifts
        Widths of the field of view, or diameters of objects, in px of the file, ascending, each
        with what is added to the logits of the foreground there; see
        ``preprocessing.field_of_view.shift_at``. Empty: nothing is added.
    """

    method: Method = "slices"
    channels: Channels = "grey"
    intensities: Intensities = "percentile"
    percentiles: tuple[float, float] = (0.5, 99.5)
    sigma: float = 30.0
    scale: Scale = "native"
    size: int = 0
    largest_size: int = 0
    smallest_objects: int = 0
    spacing: float | None = None
    usual_spacing: float | None = None
    context: int = 0
    axes: tuple[Literal[0, 1, 2], ...] = (0,)
    dims: Literal[2, 3] = 2
    logit_shifts: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        check_types(self)
        low, high = self.percentiles
        require(0 <= low < high <= 100, self, "percentiles", "a lower and a higher one, 0 to 100,")
        require(self.sigma > 0, self, "sigma", "a number of px above 0")

        has_size = self.scale != "native" or self.method == "buda2019"
        require(self.size > 0 or not has_size, self, "size", "a number of px above 0")
        require(self.size >= 0, self, "size", "a number of px, not below 0,")
        is_width = self.smallest_objects >= 0
        require(is_width, self, "smallest_objects", "a number of px, not below 0,")
        is_usable = self.smallest_objects == 0 or self.size > 0
        require(is_usable, self, "smallest_objects", "0 without a size of objects")
        require(self.spacing is None or self.spacing > 0, self, "spacing", "None or mm above 0")
        is_usable = self.usual_spacing is None or (
            self.usual_spacing > 0 and self.spacing is not None
        )
        require(is_usable, self, "usual_spacing", "None, or mm above 0 and a spacing,")
        require(self.context >= 0, self, "context", "a number of slices, not below 0,")
        distinct = len(set(self.axes)) == len(self.axes) > 0
        require(distinct, self, "axes", "at least one axis, each of them once,")
        fits = self.dims == 2 or self.makes_volumes
        needed = "2, or 3 for grey volumes of native scale, sliced along one axis, without context,"
        require(fits, self, "dims", needed)

        has_field_of_view = self.scale == "field of view" and self.intensities == "local"
        is_larger = self.largest_size > self.size and has_field_of_view
        usable = is_larger or self.largest_size == 0
        require(usable, self, "largest_size", "0, or above the size of a field of view")

        widths = [width for width, _ in self.logit_shifts]
        ascending = widths == sorted(set(widths)) and all(width > 0 for width in widths)
        require(ascending, self, "logit_shifts", "ascending widths above 0")
        has_width = has_field_of_view or self.scale == "objects"
        usable = has_width or not self.logit_shifts
        require(usable, self, "logit_shifts", "none without a field of view or objects")
        # Beyond ``size``, the width cannot be told from the zoom.
        is_told = not self.largest_size or all(width <= self.size for width in widths)
        require(is_told, self, "logit_shifts", "widths up to size if there is a largest_size")

    @property
    def makes_volumes(self) -> bool:
        """Whether slices that are prepared each on its own make up a volume."""
        keeps_grid = self.scale == "native" and self.usual_spacing is None
        is_plain = self.method == "slices" and self.channels == "grey"
        stands_alone = not self.context and not self.smallest_objects and len(self.axes) == 1
        return keeps_grid and is_plain and stands_alone and self.intensities != "local"

    @property
    def reads_volumes(self) -> bool:
        """Whether it reads a volume along all its axes: as a whole, or in slices along each."""
        return self.dims == 3 or len(self.axes) > 1


@dataclass(frozen=True)
class ModelCard:
    """Description of a pretrained network: task, input, answer, scores and terms of use.

    Parameters
    ----------
    name
        Short name, for ``load_model``; also the name of its files.
    title
        Name of the segmented structure, for headings.
    modality
        The kind of image the network was trained on.
    classes
        Names of the classes after the background, in the order of their labels 1, 2, ...
    colors
        A colour for each class, ``"#RRGGBB"``, from the colour-blind-safe palette of Okabe and Ito.
    preprocessing
        How the network reads an image.
    localise
        How its structures are found in a larger image; None if they are not searched for.
    out_channels
        Channels of the answer: 1 for one class (sigmoid), else background and classes (softmax);
        one for each class if they are ``overlapping``.
    overlapping
        Whether a pixel may belong to several classes, as in a projection: each class then has a
        sigmoid of its own, and there is no channel of the background. Where they overlap, a label
        image shows the class that comes last in ``classes``.
    features, depth
        Channels at full resolution and number of levels of the ``UNet``.
    threshold
        Probability, 0 to 1, from which a pixel belongs to the foreground.
    instance_method
        How objects are separated: connected ``"components"``, ``"interiors"`` inside borders, or
        cells between ``"membranes"``.
    class_of
        What has one class of several: each ``"pixel"``, or each ``"segment"`` of a vessel (see
        ``results.vessel_segments``).
    measures
        What is measured: the ``"objects"``; the length and width of a ``"tree"`` of vessels; or, of
        a ``"chest"``, the areas and the cardiothoracic ratio.
    objects
        ``"volumes"`` are joined through the slices of a stack, ``"slices"`` are not.
    frames
        Ids in a movie: ``"separate"``, new in each frame, or ``"linked"``, which follow the objects
        (see ``results.tracks``).
    min_component_share
        Components smaller than this share of the largest one, 0 to 1, are dropped; 1: all others.
    flips
        Number of answers that are averaged (test-time augmentation): 1 as is, 2 mirrored, 4 with
        half turns, 8 with quarter turns.
    pixel_features
        For a classifier of pixels taught by strokes (``networks.pixel_classifier``): what it reads;
        empty for a U-Net.
    int8_ranges
        Lowest and highest input of each convolution that is rounded to 8 bits (see
        ``networks.openvino_graph``); empty if rounding loses too much accuracy.
    bfloat16
        Whether it is computed in bfloat16 on processors that can; not if that changes areas.
    file, sha256, url, mirrors
        Its weights: SHA-256 of the file (or the first digits of it), and where to download it.
    plausible_diameter
        Smallest and largest width of a typical object in mm; (0, 0) if it is not known.
    usual_grain
        Smallest and largest size of what an image shows, see ``inference.object_size``; or (0, 0).
    expected_parts
        Parts of its structures that every image shows; an answer with others is implausible.
    images_of
        Name of another card that reads the same kind of images: its statistics say what is usual,
        and it is the one that is suggested. Empty: the card has statistics of its own, or none.
    usual_share
        Smallest and largest share of an image that is usually found; beyond them a warning follows.
    dicom
        DICOM's codes of the modality; empty: any.
    sequence
        The MRI sequence; ``""``: any, or not MRI.
    body_parts
        Parts of the body that it reads, of those in ``checks.anatomy.BODY_PARTS``; empty: any.
    views
        Directions of X-ray images that it reads: ``"frontal"``, ``"lateral"``; empty: any.
    data, licence, citation
        The training data, their licence, and the papers to cite.
    scores
        Measured accuracy; plain texts in earlier cards.
    intended_use, limits
        The purpose of the network, and the images on which it fails.

    Raises
    ------
    ModelError
        For a value that is not among the choices or is invalid.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> card = uh.MODELS["nuclei"]
    >>> card.classes
    ('interior', 'border')
    >>> card.scores[0].metric, card.scores[0].value
    ('mean AP', 0.58)
    """

    name: str
    title: str
    modality: str
    classes: tuple[str, ...]
    colors: tuple[str, ...]
    preprocessing: Preprocessing = Preprocessing()
    localise: Localise | None = None
    out_channels: int = 1
    overlapping: bool = False
    features: int = 16
    depth: int = 4
    threshold: float = 0.5
    instance_method: InstanceMethod = "components"
    class_of: ClassOf = "pixel"
    measures: Measures = "objects"
    objects: Objects = "volumes"
    frames: Frames = "separate"
    min_component_share: float = 0.0
    flips: Flips = 1
    pixel_features: PixelFeatures = ""
    int8_ranges: tuple[tuple[float, float], ...] = ()
    bfloat16: bool = True
    file: str = ""
    sha256: str = ""
    url: str = ""
    mirrors: tuple[str, ...] = ()
    plausible_diameter: tuple[float, float] = (0.0, 0.0)
    usual_grain: tuple[float, float] = (0.0, 0.0)
    expected_parts: tuple[ExpectedParts, ...] = ()
    images_of: str = ""
    usual_share: tuple[float, float] = (0.0, 1.0)
    dicom: tuple[str, ...] = ()
    sequence: MriSequence = ""
    body_parts: tuple[str, ...] = ()
    views: tuple[Direction, ...] = ()
    data: str = ""
    licence: str = ""
    citation: str = ""
    scores: tuple[Score | str, ...] = ()
    intended_use: str = "Research and teaching, not diagnosis."
    limits: str = ""

    def __post_init__(self) -> None:
        check_types(self)
        require(len(self.name) > 0, self, "name", "a name")
        require(len(self.classes) > 0, self, "classes", "at least one class")
        matching = len(self.colors) == len(self.classes)
        require(matching, self, "colors", f"one for each of {len(self.classes)} classes")
        are_colors = all(COLOR.fullmatch(color) for color in self.colors)
        require(are_colors, self, "colors", "red, green and blue, '#RRGGBB',")

        check_channels(self)
        require(self.features > 0, self, "features", "a number of channels above 0")
        require(self.depth > 0, self, "depth", "a number of levels above 0")
        for name in ("threshold", "min_component_share"):
            require(0 <= getattr(self, name) <= 1, self, name, "a number from 0 to 1")
        for name in ("plausible_diameter", "usual_grain"):
            low, high = getattr(self, name)
            require(0 <= low <= high, self, name, "a smaller and a larger one, not below 0,")
        least, most = self.usual_share
        require(0 <= least < most <= 1, self, "usual_share", "a smaller and a larger one, 0 to 1,")
        named = {name for parts in self.expected_parts for name in parts.classes}
        require(named <= set(self.classes), self, "expected_parts", "classes of the card")
        ordered = all(low < high for low, high in self.int8_ranges)
        require(ordered, self, "int8_ranges", "a lower and a higher end of each")

    @property
    def has_background(self) -> bool:
        """Whether the first channel of the answer is the background (softmax)."""
        return self.out_channels > len(self.classes)

    @property
    def has_sided_classes(self) -> bool:
        """Whether classes are those of one side: a mirrored copy would swap left and right."""
        return name_sides(self.classes)

    @property
    def in_channels(self) -> int:
        """Channels that the network reads: three colours, or a slice with its neighbours."""
        if self.preprocessing.channels in IN_COLOUR:
            return 3
        return 1 + 2 * self.preprocessing.context

    @property
    def object_diameter(self) -> int:
        """Width of a typical object in working px; 0 if objects have none."""
        return self.preprocessing.size if self.instance_method == "interiors" else 0

    @property
    def names_sides(self) -> bool:
        """Whether the answer says which structure is the patient's left and right one."""
        return self.localise is not None and bool(SIDES & set(self.localise.names))

    @property
    def score_texts(self) -> tuple[str, ...]:
        """The scores in words: one text for all scores of the same images."""
        measured = [score for score in self.scores if isinstance(score, Score)]
        texts_of_before = [score for score in self.scores if isinstance(score, str)]
        return (*score_texts(measured), *texts_of_before)


def name_sides(classes: tuple[str, ...]) -> bool:
    """Return whether names of classes tell the left side from the right one."""
    return any(SIDES & set(name.lower().split()) for name in classes)
