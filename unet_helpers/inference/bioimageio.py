"""Export a network as a BioImage.IO model, for deepImageJ, ilastik, QuPath, Fiji and others.

https://bioimage-io.github.io/spec-bioimage-io: a zip file with the weights (ONNX), a description
(rdf.yaml, format 0.5), tensors to test with, and documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import ArgumentError, SaveError
from ..files import written_whole
from ..networks.card import IN_COLOUR
from ..networks.cards import ModelCard
from ..networks.load import load_model
from ..networks.unet import UNet
from ..version import HOME, __version__
from .export import export_onnx

if TYPE_CHECKING:
    from bioimageio.spec.model.v0_5 import InputTensorDescr, ModelDescr, OutputTensorDescr

# Lowest and highest value that networks read; others are clipped.
LIMITS = (-1.0, 2.0)

# Added to the range of intensities before the division by it, as the format wants.
EPSILON = 1e-6

# px: smallest side of an image, with room for some features at the network's coarsest level.
LEAST_SIDE = 64

# px: sides of the test image, of which one is no power of 2.
TEST_SHAPE = (128, 160)

# mm per µm.
MILLIMETRES = 1e-3


def export_bioimageio(
    model: str | Path | ModelCard | UNet,
    path: str | Path,
    *,
    image: np.ndarray | None = None,
    overwrite: bool = False,
) -> Path:
    """Save a network as a BioImage.IO package (format 0.5, weights as ONNX).

    The package holds the network and its intensity scaling. It does not hold what this package does
    around them: resizing to the working scale, tiles, averaging, objects and checks. Networks that
    mean little without a preprocessing that the format cannot say are refused. Needs the packages
    bioimageio.spec, onnx and onnxscript.

    Parameters
    ----------
    model : str, Path, ModelCard or UNet
        Name, card, file or network.
    path : str or Path
        The file to write; its name ends with ``.zip``.
    image : numpy.ndarray, optional
        A test image to put into the package, as the network reads it: (H, W), or (H, W, 3) for
        colours; H and W are multiples of ``2**depth``. By default a drawn one.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArgumentError
        The card's preprocessing cannot be said in the format, the test image does not fit, or a
        package is missing.
    SaveError
        The file exists, or its name has another ending.

    Examples
    --------
    >>> import tempfile
    >>> import unet_helpers as uh
    >>> uh.export_bioimageio("lungs", tempfile.mkdtemp() + "/lungs.zip").name
    'lungs.zip'
    >>> uh.export_bioimageio("retinal_vessels", "vessels.zip")
    Traceback (most recent call last):
    ...
    unet_helpers.errors.ArgumentError: 'retinal_vessels' cannot be a BioImage.IO package: ...
    """
    path = Path(path).expanduser()
    if path.suffix != ".zip":
        raise SaveError(f"{path}: the name of a BioImage.IO package ends in .zip.")
    if path.exists() and not overwrite:
        raise SaveError(f"{path} exists already: pass overwrite=True or another name.")

    network = load_model(model, engine="torch")
    reason = why_not(network.card)
    if reason:
        raise ArgumentError(f"{network.card.name!r} cannot be a BioImage.IO package: {reason}.")
    if find_spec("bioimageio") is None or find_spec("bioimageio.spec") is None:
        raise ArgumentError("A BioImage.IO package needs: pip install bioimageio.spec")

    from bioimageio.spec import save_bioimageio_package

    pixels = test_image(network) if image is None else checked_image(network, image)
    with TemporaryDirectory() as folder, written_whole(path) as part:
        description = describe(network, pixels, Path(folder))
        # The library takes the kind of file from its ending.
        made = save_bioimageio_package(description, output_path=Path(folder) / "package.zip")
        part.write_bytes(Path(made).read_bytes())
    return path


def why_not(card: ModelCard) -> str:
    """Say which part of a card's preprocessing the format has no words for; '' if it has for all.

    The format knows percentiles of the whole image and clipping. A fixed working scale can be told
    to a person, who resizes the image; one that is found in each image cannot.
    """
    preprocessing = card.preprocessing
    if preprocessing.method != "slices":
        return f"its preprocessing {preprocessing.method!r} is one of whole volumes"
    if preprocessing.channels == "stain":
        return "it removes the brown of DAB from stained tissue, which the format has no words for"
    if preprocessing.channels not in ("grey", "rgb"):
        return f"it reads one channel of several ({preprocessing.channels})"
    if preprocessing.intensities == "local":
        return "it flattens the illumination by a local z-score"
    if preprocessing.intensities == "head":
        return "it scales a slice by the head alone, without the air around it"
    if preprocessing.scale in ("field of view", "objects") and not preprocessing.spacing:
        return f"it is resized by the {preprocessing.scale} in each image"
    if preprocessing.context or preprocessing.reads_volumes or card.localise is not None:
        return "it reads several slices of a volume, or searches in it"
    return ""


@dataclass(frozen=True)
class InputSize:
    """The sizes of images that a package takes: ``least`` + n * ``step``, in px."""

    least: int
    step: int


def input_size(card: ModelCard) -> InputSize:
    """Return which sizes a network takes; those of a square begin with its side."""
    step = 2**card.depth
    if card.preprocessing.scale == "square":
        return InputSize(card.preprocessing.size, step)
    return InputSize(max(LEAST_SIDE, step), step)


def test_image(network: UNet) -> np.ndarray:
    """Draw a test image, (H, W) or (H, W, 3) uint8: bright and dark blobs of all sizes."""
    card = network.card
    shape = TEST_SHAPE
    if card.preprocessing.scale == "square":
        shape = (card.preprocessing.size, card.preprocessing.size)
    colours = 3 if card.preprocessing.channels in IN_COLOUR else 1

    generator = np.random.default_rng(0)
    total = np.zeros((*shape, colours))
    for size in (4, 8, 16, 32):
        grid = generator.normal(size=(*(-(-side // size) + 1 for side in shape), colours))
        smooth = torch.nn.functional.interpolate(
            torch.from_numpy(grid.transpose(2, 0, 1)[None]), shape, mode="bicubic"
        )
        total += smooth[0].numpy().transpose(1, 2, 0)
    scaled = (total - total.min()) / np.ptp(total)
    pixels = np.rint(255 * scaled).astype(np.uint8)
    return pixels if colours == 3 else pixels[..., 0]


def checked_image(network: UNet, image: np.ndarray) -> np.ndarray:
    """Return a test image; ArgumentError if the network does not read images of its shape."""
    pixels = np.asarray(image)
    colours = 3 if network.card.preprocessing.channels in IN_COLOUR else 1
    size = input_size(network.card)
    has_colours = pixels.ndim == 3 and pixels.shape[-1] == colours
    fits = has_colours if colours == 3 else pixels.ndim == 2
    sides = pixels.shape[:2]
    if not fits or any(side < size.least or (side - size.least) % size.step for side in sides):
        needed = "(H, W, 3)" if colours == 3 else "(H, W)"
        raise ArgumentError(
            f"The test image is {pixels.shape}: it must be {needed}, with sides of {size.least} px "
            f"plus a multiple of {size.step}."
        )
    return pixels


def scaled(pixels: np.ndarray, card: ModelCard) -> np.ndarray:
    """Scale (C, H, W) as the package says: percentiles of all channels to 0 and 1, and clip."""
    values = pixels.astype(np.float32)
    low, high = np.percentile(values, card.preprocessing.percentiles)
    return np.clip((values - low) / (high - low + EPSILON), *LIMITS).astype(np.float32)


def describe(network: UNet, pixels: np.ndarray, folder: Path) -> ModelDescr:
    """Write the parts of a package to a folder, and return its description."""
    from bioimageio.spec.model import v0_5 as spec

    card = network.card
    weights = export_onnx(network, folder / "weights.onnx")
    channels_first = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    stored = np.ascontiguousarray(channels_first, np.float32)[None]
    with torch.inference_mode():
        answer = network(torch.from_numpy(scaled(stored[0], card))[None]).numpy()
    np.save(folder / "test_input.npy", stored)
    np.save(folder / "test_output.npy", answer)
    (folder / "README.md").write_text(documentation(card), encoding="utf-8")
    (folder / "LICENSE.txt").write_text(licence(card), encoding="utf-8")

    return spec.ModelDescr(
        name=plain_name(f"{card.title} ({card.name})"),
        description=f"{card.title} in: {card.modality}. {card.intended_use}",
        authors=[spec.Author(name="The authors of unet_helpers")],
        cite=[
            spec.CiteEntry(
                text="Ronneberger, Fischer, Brox: U-Net (MICCAI 2015)",
                doi=spec.Doi("10.1007/978-3-319-24574-4_28"),
            ),
            spec.CiteEntry(text=card.citation or card.name, url=spec.HttpUrl(home())),
        ],
        license=spec.FileDescr(source=folder / "LICENSE.txt"),
        documentation=spec.FileDescr(source=folder / "README.md"),
        git_repo=spec.HttpUrl(home()),
        tags=["unet", "segmentation", "2d", card.name],
        version=spec.Version(__version__),
        inputs=[input_tensor(card, stored.shape[1], folder)],
        outputs=[output_tensor(card, folder)],
        weights=spec.WeightsDescr(
            onnx=spec.OnnxWeightsDescr(source=weights, opset_version=opset_of(weights))
        ),
    )


def input_tensor(card: ModelCard, channels: int, folder: Path) -> InputTensorDescr:
    """Describe the image: its axes, sizes, and how its intensities are scaled."""
    from bioimageio.spec.model import v0_5 as spec

    size = input_size(card)
    sides = [
        spec.SpaceInputAxis(
            id=spec.AxisId(name),
            size=spec.ParameterizedSize(min=size.least, step=size.step),
            **working_scale(card),
        )
        for name in "yx"
    ]
    names = ["red", "green", "blue"] if channels == 3 else ["grey"]
    low, high = card.preprocessing.percentiles
    return spec.InputTensorDescr(
        id=spec.TensorId("image"),
        description=card.modality,
        axes=[spec.BatchAxis(size=1), channel_axis(names), *sides],
        test_tensor=spec.FileDescr(source=folder / "test_input.npy"),
        data=spec.IntervalOrRatioDataDescr(type="float32"),
        preprocessing=[
            spec.ScaleRangeDescr(
                kwargs=spec.ScaleRangeKwargs(
                    axes=[spec.AxisId(name) for name in ("channel", "y", "x")],
                    min_percentile=low,
                    max_percentile=high,
                    eps=EPSILON,
                )
            ),
            spec.ClipDescr(kwargs=spec.ClipKwargs(min=LIMITS[0], max=LIMITS[1])),
        ],
    )


def output_tensor(card: ModelCard, folder: Path) -> OutputTensorDescr:
    """Describe the probabilities, one channel a class, of the same height and width."""
    from bioimageio.spec.model import v0_5 as spec

    names = list(card.classes)
    if card.out_channels > len(names):
        names = ["background", *names]
    sides = [
        spec.SpaceOutputAxis(
            id=spec.AxisId(name),
            size=spec.SizeReference(tensor_id=spec.TensorId("image"), axis_id=spec.AxisId(name)),
            **working_scale(card),
        )
        for name in "yx"
    ]
    return spec.OutputTensorDescr(
        id=spec.TensorId("probabilities"),
        description="the probability of each class, 0 to 1",
        axes=[spec.BatchAxis(size=1), channel_axis(names), *sides],
        test_tensor=spec.FileDescr(source=folder / "test_output.npy"),
        data=spec.IntervalOrRatioDataDescr(type="float32", range=(0.0, 1.0)),
    )


def channel_axis(names: list[str]) -> Any:
    """Describe the channels; names may have letters, digits and underscores."""
    from bioimageio.spec.model import v0_5 as spec

    return spec.ChannelAxis(channel_names=[name.replace(" ", "_") for name in names])


def working_scale(card: ModelCard) -> dict[str, Any]:
    """Return the length of a pixel at the working scale, if the card has one."""
    if card.preprocessing.spacing is None:
        return {}
    return {"scale": card.preprocessing.spacing / MILLIMETRES, "unit": "micrometer"}


def opset_of(path: Path) -> int:
    """Return the version of the operators in an ONNX file."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    return max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def home() -> str:
    """Return the address of the repository."""
    return f"https://github.com/{HOME}"


def plain_name(text: str) -> str:
    """Leave out of a title what the format does not allow in names."""
    return "".join(letter for letter in text if letter.isalnum() or letter in " _-+()")


def documentation(card: ModelCard) -> str:
    """Write what a person must do before and after the network."""
    preprocessing = card.preprocessing
    before = "Give the image as it is."
    if preprocessing.scale == "square":
        side = preprocessing.size
        before = f"Resize the image to {side} x {side} px, as all training images were."
    elif preprocessing.spacing:
        nanometres = 1e6 * preprocessing.spacing
        before = f"Resize the image so that a pixel is {nanometres:g} nm wide."
    return f"""# {card.title}

{card.intended_use}

A U-Net for: {card.modality}. {before}

Intensities are scaled by the percentiles {preprocessing.percentiles[0]:g} and
{preprocessing.percentiles[1]:g} of the whole image. unet_helpers does more: it resizes by the size
of a pixel, keeps a bright marker out of the percentiles, widens the range of a nearly empty bright
field, averages turned copies where the card says so, cuts large images into tiles that overlap,
separates objects, and warns of images that the network does not know.

The answer is one probability a pixel and class; the threshold of the card is {card.threshold:g}.

- Trained on: {card.data}
- Licence of the data: {card.licence}
- Cite: {card.citation}
- Limits: {card.limits}
- Scores: {"; ".join(card.score_texts)}

## Validation

The scores are those of images that were not used for training. Check the network on a few images of
your own, with masks drawn by hand, before you use it.
"""


def licence(card: ModelCard) -> str:
    """Write the terms: the code's, and those that the training data put on the weights."""
    return (
        "The code of unet_helpers: MIT licence.\n"
        f"The weights, under the terms of their training data ({card.data}): {card.licence}\n"
    )
