"""Networks of other programs: an ONNX file, or a BioImage.IO package with ONNX weights.

Nothing in a file is executed as a program. ONNX is a graph of known operators, which ONNX Runtime
computes. TorchScript is refused like other pickles: it is a program, and PyTorch's security policy
(https://github.com/pytorch/pytorch/blob/main/SECURITY.md) tells to treat it as such.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..errors import ArgumentError, ModelError
from .cards import MODELS, ModelCard, Preprocessing, card_of
from .unet import UNet, cropped, pad_by_reflection

if TYPE_CHECKING:
    from bioimageio.spec.model.v0_5 import ModelDescr

# px: sides of the noise with which a network is tried, multiples of all usual steps.
TRIED_SIDES = {2: (128, 128), 3: (32, 32, 32)}

# Probabilities of several classes add up to 1 but for rounding.
ROUNDING = 1e-3

CONVERT = (
    "Export it as ONNX, which runs no code: torch.onnx.export(network, (example,), 'model.onnx', "
    "dynamo=True, dynamic_shapes=...)."
)


class OnnxNetwork(UNet):
    """A network of any origin, (N, C, [D,] H, W) to (N, K, [D,] H, W), by ONNX Runtime.

    It takes the place of a ``UNet`` in ``segment`` and all that follows, but has no layers to look
    into or to train.
    """

    def __init__(self, content: bytes, card: ModelCard) -> None:
        nn.Module.__init__(self)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # From bytes, so that the file cannot name other files to be read.
        self.session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        self.content = content
        self.card = card
        self.in_channels = card.in_channels
        self.out_channels = card.out_channels
        self.features = card.features
        self.depth = card.depth
        self.dims = card.preprocessing.dims
        self.overlapping = card.overlapping
        self.weights_sha256 = hashlib.sha256(content).hexdigest()
        self.gives_logits = False
        self.eval()

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the file and the card to another process, which starts a session of its own."""
        return loaded_again, (self.content, self.card)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute probabilities, (N, out_channels, H, W), each between 0 and 1."""
        answer = self.answer(x)
        return self.probabilities(answer) if self.gives_logits else answer

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Raise ArgumentError: the network has no layers that could be trained."""
        raise ArgumentError("A network in an ONNX file can segment, but not be trained.")

    def answer(self, x: torch.Tensor) -> torch.Tensor:
        """Compute what the network itself gives, (N, K, H, W) float32."""
        padded = pad_by_reflection(x.float(), 2**self.depth).contiguous()
        (name,) = [node.name for node in self.session.get_inputs()]
        first, *_ = self.session.run(None, {name: padded.numpy()})
        return cropped(torch.from_numpy(np.asarray(first, np.float32)), x.shape[2:])


def load_foreign(path: Path, card: ModelCard | str | None) -> OnnxNetwork:
    """Load the network of an ONNX file or a BioImage.IO package; see ``load_model``."""
    if path.suffix == ".zip":
        package = package_in(path)
        chosen = card_for(path, card) or card_of_description(package.description, path)
        return tried(package.content, chosen, path)

    content = path.read_bytes()
    chosen = card_for(path, card) or card_in_metadata(content, path)
    return tried(content, chosen, path)


def card_for(path: Path, card: ModelCard | str | None) -> ModelCard | None:
    """Return the card that was given, under the name of the file and without measured scores."""
    if card is None:
        return None
    if isinstance(card, str):
        if card not in MODELS:
            raise ModelError(f"There is no card {card!r}: choose one of {', '.join(MODELS)}.")
        card = MODELS[card]
    return own_copy(card, path)


def own_copy(card: ModelCard, path: Path) -> ModelCard:
    """Return a card for other weights: what was measured with the card's own does not hold."""
    name = path.name.removesuffix("".join(path.suffixes[-1:]))
    return replace(card, name=name, scores=(), int8_ranges=(), file="", sha256="", url="")


def card_in_metadata(content: bytes, path: Path) -> ModelCard:
    """Return the card that ``export_onnx`` wrote into a file; ModelError if there is none."""
    session = session_of(content, path)
    stored = session.get_modelmeta().custom_metadata_map.get("card")
    if stored is None:
        raise ModelError(
            f"{path}: nothing in it says how it reads an image. Pass card=..., a ModelCard, or the "
            "name of the card whose preprocessing and classes are those of the network."
        )
    try:
        return own_copy(card_of(json.loads(stored)), path)
    except (ValueError, TypeError) as error:
        raise ModelError(f"{path}: the card in it makes no sense ({error}).") from error


def session_of(content: bytes, path: Path) -> Any:
    """Start ONNX Runtime; ModelError if the file is no graph that it can compute."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ArgumentError(
            "A network in an ONNX file needs one more package: pip install onnxruntime"
        ) from error
    try:
        return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    # Its errors have no common base.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{path} is no ONNX file that can be computed: {reason}") from error


def tried(content: bytes, card: ModelCard, path: Path) -> OnnxNetwork:
    """Return the network after a try on noise; ModelError if it does not fit its card."""
    session_of(content, path)
    network = OnnxNetwork(content, card)
    generator = np.random.default_rng(0)
    sides = TRIED_SIDES[network.dims]
    noise = generator.random((1, card.in_channels, *sides), np.float32)
    try:
        answer = network.answer(torch.from_numpy(noise))
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{path} does not take images {noise.shape} as its card says, or sizes are fixed in "
            f"it: {reason}"
        ) from error

    expected = (1, card.out_channels, *sides)
    if tuple(answer.shape) != expected:
        raise ModelError(
            f"{path} answers {tuple(answer.shape)} where its card says {expected}: (images, "
            "out_channels, height, width)."
        )
    network.gives_logits = not are_probabilities(answer)
    return network


def are_probabilities(answer: torch.Tensor) -> bool:
    """Return whether values (N, K, H, W) are probabilities, not yet logits."""
    if not torch.isfinite(answer).all() or answer.min() < 0 or answer.max() > 1 + ROUNDING:
        return False
    if answer.shape[1] == 1:
        return True
    return bool((answer.sum(dim=1) - 1).abs().max() < ROUNDING)


def loaded_again(content: bytes, card: ModelCard) -> OnnxNetwork:
    """Return a network that was sent from another process."""
    return tried(content, card, Path(card.name))


def refuse_program(path: Path) -> None:
    """Raise ModelError for a file that is a program, such as TorchScript."""
    if is_torchscript(path):
        raise ModelError(
            f"{path} is TorchScript, which is a program and may do anything when it runs. {CONVERT}"
        )


def is_torchscript(path: Path) -> bool:
    """Return whether a file is a zip archive of ``torch.jit.save``, which contains code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in f"/{name}" for name in archive.namelist())


@dataclass(frozen=True)
class Package:
    """What is used of a BioImage.IO package."""

    description: ModelDescr
    content: bytes  # of the file of its ONNX weights


def package_in(path: Path) -> Package:
    """Read a BioImage.IO package; ModelError if it is none, or has no ONNX weights."""
    try:
        from bioimageio.spec import load_model_description
        from bioimageio.spec.model import v0_5
    except ImportError as error:
        raise ArgumentError(
            "A BioImage.IO package needs one more package: pip install bioimageio.spec"
        ) from error
    try:
        description = load_model_description(path, perform_io_checks=False)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{path} is no BioImage.IO package of a model: {reason}") from error
    if not isinstance(description, v0_5.ModelDescr):
        raise ModelError(f"{path}: format {description.format_version}; only 0.5 is read.")

    weights = description.weights.onnx
    if weights is None:
        raise ModelError(
            f"{path} has no ONNX weights, and its other weights are programs, which are not run. "
            f"{CONVERT}"
        )
    with zipfile.ZipFile(path) as archive:
        content = archive.read(str(weights.source))
    return Package(description, content)


def card_of_description(description: ModelDescr, path: Path) -> ModelCard:
    """Make a card of a package; ModelError if a card cannot say what the package does."""
    if len(description.inputs) != 1:
        raise ModelError(f"{path} reads {len(description.inputs)} images; one is supported.")
    image, answer = description.inputs[0], description.outputs[0]
    axes: dict[str, Any] = {str(axis.id): axis for axis in image.axes}
    if set(axes) != {"batch", "channel", "y", "x"}:
        raise ModelError(
            f"{path} reads the axes {', '.join(axes)}; batch, channel, y and x are usual."
        )

    out_axes: dict[str, Any] = {str(axis.id): axis for axis in answer.axes}
    if "channel" not in out_axes:
        raise ModelError(f"{path} answers without channels; one for each class is expected.")
    names = [str(name) for name in out_axes["channel"].channel_names]
    classes = names[1:] if len(names) > 1 else names
    colours = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
    if len(classes) > len(colours):
        raise ModelError(f"{path} has {len(classes)} classes; up to {len(colours)} are supported.")

    channels = len(axes["channel"].channel_names)
    if channels not in (1, 3):
        raise ModelError(f"{path} reads {channels} channels; one or three are supported.")
    return ModelCard(
        name=path.name.removesuffix(".zip"),
        title=description.name,
        modality=image.description or "as its documentation says",
        classes=tuple(classes),
        colors=colours[: len(classes)],
        preprocessing=preprocessing_of(image, path, channels),
        out_channels=len(names),
        depth=depth_of(axes["y"].size, path),
        licence=str(description.license or ""),
        citation="; ".join(entry.text for entry in description.cite),
    )


def preprocessing_of(image: Any, path: Path, channels: int) -> Preprocessing:
    """Turn the preprocessing of a package into that of a card; ModelError if a card has none."""
    percentiles = None
    for step in image.preprocessing:
        if step.id == "scale_range":
            percentiles = (float(step.kwargs.min_percentile), float(step.kwargs.max_percentile))
        elif step.id not in ("clip", "ensure_dtype"):
            raise ModelError(
                f"{path}: its preprocessing {step.id!r} is none that a card has (percentiles). "
                "Pass card=... with the nearest, and compare the answers."
            )
    if percentiles is None:
        raise ModelError(f"{path} does not scale intensities by percentiles. Pass card=... .")

    scale = {str(axis.id): axis for axis in image.axes}["y"]
    spacing = None
    if scale.unit == "micrometer":
        spacing = 1e-3 * float(scale.scale)
    return Preprocessing(
        channels="rgb" if channels == 3 else "grey", percentiles=percentiles, spacing=spacing
    )


def depth_of(size: Any, path: Path) -> int:
    """Return the levels of a network by the step of its sizes, 2**depth."""
    step = getattr(size, "step", None)
    if not step or step & (step - 1):
        raise ModelError(
            f"{path} takes only images of certain sizes ({size}); those that grow by steps of a "
            "power of 2 are supported."
        )
    return max(1, int(step).bit_length() - 1)
