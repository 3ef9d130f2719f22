"""Teach a classifier by strokes: it is fitted again after each, and the strokes always stand."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from .. import palette
from ..checks.suggest import fitting_networks
from ..checks.view import View
from ..errors import ArgumentError
from ..images.image import MedicalImage, noted
from ..networks.cards import ModelCard, Preprocessing
from ..networks.load import load_model
from ..networks.pixel_classifier import PixelClassifier
from ..networks.unet import UNet
from ..results.by_hand import ByHand
from ..results.segmentation import Segmentation
from .answer import Answer, components, nothing_decided
from .classifier import (
    Samples,
    all_weights,
    bias_of,
    fit,
    join_samples,
    network_columns,
    put_into_layers,
    thinned,
)
from .correcting import corrected, with_decided
from .features import ImageFeatures
from .history import History
from .strokes import BACKGROUND, UNKNOWN, Stroke

# Given as the model, it means that no network is read, only filters.
FILTERS = "filters"

# The name of the card of what was taught.
NAME = "painted"


@dataclass(frozen=True, eq=False)
class Earlier:
    """What was painted on an earlier image: the image, its sparse mask and its samples."""

    view: View
    painted: np.ndarray
    samples: Samples


class Teaching:
    """A single image with strokes, and the classifier that learns from them.

    Parameters
    ----------
    view : View
        A single image.
    classes : sequence of str
        Names of the classes, without background; more are added by strokes.
    network : UNet or None
        The network whose maps are read beside the filters.
    earlier : sequence of Earlier
        Images that were painted before.
    """

    def __init__(
        self,
        view: View,
        classes: Sequence[str],
        network: UNet | None,
        earlier: Sequence[Earlier] = (),
    ) -> None:
        self.view = view
        self.classes = (BACKGROUND, *classes)
        self.network = network
        self.earlier = list(earlier)
        self.channels = 3 if view.image.channels == 3 else 1

        preprocessing = preprocessing_of(self.channels)
        self.features = ImageFeatures(
            view, preprocessing, PixelClassifier(self.channels, 1, network)
        )
        unknown = nothing_decided(self.features.shape)
        self.history = History(
            {"painted": unknown, "decided": unknown, "owner": np.zeros(unknown.shape, np.int32)}
        )
        self.fitted: PixelClassifier | None = None
        self.predicted: np.ndarray | None = None

    @property
    def image(self) -> MedicalImage:
        """The image."""
        return self.view.image

    @property
    def painted_on(self) -> str:
        """What the strokes are painted on, beside the image: nothing."""
        return "image"

    def mask(self) -> np.ndarray:
        """Return the painted classes, (H, W) uint8, UNKNOWN elsewhere."""
        return self.history.arrays["painted"].copy()

    @property
    def card(self) -> ModelCard:
        """The card of the classifier."""
        return card_of_classes(self.classes[1:], self.channels, self.network)

    def add_class(self, name: str) -> None:
        """Add a class that was not known before; ArgumentError if there are too many."""
        if name in self.classes:
            return
        if len(self.classes) > len(palette.CLASSES):
            raise ArgumentError(f"There are at most {len(palette.CLASSES)} classes.")
        self.classes = (*self.classes, name)
        self.forget_fit()

    def forget_fit(self) -> None:
        """Let the classifier be fitted again when the answer is asked for."""
        self.fitted = None
        self.predicted = None

    def do(self, stroke: Stroke) -> None:
        """Carry out an action."""
        if stroke.tool not in ("stroke", "erase"):
            decided = corrected(self.answer(), stroke, self.classes).decided
            self.history.apply({"decided": decided})
            return

        value = UNKNOWN
        if stroke.tool == "stroke":
            self.add_class(stroke.name)
            value = self.classes.index(stroke.name)
        mask = stroke.mask(self.features.shape)
        arrays = self.history.arrays
        self.history.apply(
            {
                "painted": np.where(mask, np.uint8(value), arrays["painted"]),
                "decided": np.where(mask, np.uint8(value), arrays["decided"]),
                "owner": np.where(mask, np.int32(len(self.history.done)), arrays["owner"]),
            }
        )
        self.forget_fit()

    def samples(self) -> Samples:
        """Read the maps at the painted pixels of this image, and add those of earlier ones."""
        return self.samples_of(self.history.arrays["painted"], self.history.arrays["owner"])

    def samples_of(self, painted: np.ndarray, owner: np.ndarray) -> Samples:
        """Read the maps where (H, W) ``painted`` is known, after those of earlier images."""
        parts = [earlier.samples for earlier in self.earlier]
        if (painted != UNKNOWN).any():
            parts.append(self.own_samples(painted, owner))
        if not parts:
            nothing = torch.zeros(0, dtype=torch.int64)
            return Samples(torch.zeros(0, 1), nothing, nothing, self.features.spread)
        return join_samples(parts)

    def own_samples(self, painted: np.ndarray, owner: np.ndarray) -> Samples:
        """Read the maps of this image where (H, W) ``painted`` is known.

        ``owner`` (H, W) is the number of the stroke that painted each pixel last.
        """
        pixels = thinned(painted, UNKNOWN)
        classes = torch.from_numpy(painted[tuple(pixels.T)].astype(np.int64))
        strokes = torch.from_numpy(owner[tuple(pixels.T)].astype(np.int64))
        maps = self.features.sample(pixels)
        return Samples(maps, classes, strokes, self.features.spread)

    def classifier(self) -> PixelClassifier | None:
        """Return the classifier, fitted to all strokes; None before two classes were painted."""
        if self.fitted is None:
            samples = self.samples()
            if samples.are_enough:
                self.fitted = fitted_classifier(samples, self.card, self.network)
        return self.fitted

    def fitted_or_error(self) -> PixelClassifier:
        """Return the fitted classifier; ArgumentError before two classes were painted."""
        classifier = self.classifier()
        if classifier is None:
            raise ArgumentError("Paint strokes of two classes first: background is one, too.")
        return classifier

    def probabilities(self) -> np.ndarray:
        """Return the probabilities (K, H, W) of the classifier, without what was decided."""
        if self.predicted is None:
            classifier = self.classifier()
            if classifier is not None:
                self.predicted = self.features.predict(classifier)
            else:
                self.predicted = only_background(self.card, self.features.shape)
        return self.predicted

    def answer(self) -> Answer:
        """Return the labels and objects as they are now."""
        result = self.result(())
        return Answer(
            labels=result.labels,
            objects=components(result.labels),
            decided=self.history.arrays["decided"],
            certainty=result.foreground,
            card=self.card,
        )

    def result(self, strokes: Sequence[Stroke]) -> Segmentation:
        """Return the answer of the classifier, with all that was painted on top."""
        decided = self.history.arrays["decided"].copy()
        classifier = self.classifier()
        sha256 = "" if classifier is None else classifier.weights_sha256
        read = "filters"
        if self.network is not None and classifier is not None and reads_network(classifier):
            read = f"filters and the maps of {self.network.card.name}"
        note = f"taught by strokes; the classifier reads {read}"
        return Segmentation(
            image=noted(self.view.image, note),
            card=self.card,
            probabilities=with_decided(self.probabilities(), decided),
            threshold=self.card.threshold,
            weights_sha256=sha256,
            measured=self.view,
            by_hand=ByHand(decided, None, dict(Counter(stroke.tool for stroke in strokes))),
        )

    def as_earlier(self) -> list[Earlier]:
        """Return what was painted on this image and on earlier ones, for the next image."""
        painted = self.mask()
        if (painted == UNKNOWN).all():
            return self.earlier
        samples = self.own_samples(painted, self.history.arrays["owner"])
        return [*self.earlier, Earlier(self.view, painted, samples)]


def only_background(card: ModelCard, shape: tuple[int, int]) -> np.ndarray:
    """Return the probabilities (K, H, W) of an answer that is all background."""
    probabilities = np.zeros((card.out_channels, *shape), np.float32)
    if card.out_channels > 1:
        probabilities[0] = 1
    return probabilities


def preprocessing_of(channels: int) -> Preprocessing:
    """Return how a classifier reads an image: at its own size, with the channels it has."""
    return Preprocessing(channels="rgb" if channels == 3 else "grey")


def card_of_classes(classes: Sequence[str], channels: int, network: UNet | None) -> ModelCard:
    """Return the card of a classifier for these classes."""
    names = tuple(classes) or ("painted",)
    card = ModelCard(
        name=NAME,
        title=" and ".join(names).capitalize(),
        modality="images like those that were painted",
        classes=names,
        colors=palette.CLASSES[: len(names)],
        preprocessing=preprocessing_of(channels),
        out_channels=1 if len(names) == 1 else 1 + len(names),
        pixel_features="filters" if network is None else "network and filters",
        data="your own strokes",
        licence="yours" if network is None else f"yours; the maps are those of {network.card.name}",
        limits="as good as the strokes it learnt from",
    )
    if network is None:
        return card
    return replace(card, features=network.features, depth=network.depth)


def fitted_classifier(samples: Samples, card: ModelCard, network: UNet | None) -> PixelClassifier:
    """Fit a classifier to samples; its ``weights_sha256`` is a sum over its layers."""
    classifier = PixelClassifier(card.in_channels, card.out_channels, network)
    fit(samples, classifier)
    classifier.card = card
    total = hashlib.sha256()
    for tensor in classifier.layers.state_dict().values():
        total.update(tensor.numpy().tobytes())
    classifier.weights_sha256 = total.hexdigest()
    return classifier.eval()


def reads_network(classifier: PixelClassifier) -> bool:
    """Return whether a classifier uses any map of its network."""
    return bool((all_weights(classifier)[:, network_columns(classifier)] != 0).any())


def without_unused_network(classifier: PixelClassifier) -> PixelClassifier:
    """Return the classifier of the filters alone if the maps of its network were no help."""
    if classifier.network is None or reads_network(classifier):
        return classifier

    of_network = network_columns(classifier)
    weights = all_weights(classifier)
    card = card_of_classes(classifier.card.classes, classifier.in_channels, None)
    smaller = PixelClassifier(classifier.in_channels, classifier.out_channels, None)
    put_into_layers(smaller, weights[:, ~of_network], bias_of(classifier))
    smaller.card = card
    return smaller.eval()


def choose_network(view: View, model: str | Path | ModelCard | UNet | None) -> UNet | None:
    """Return the network whose maps are read: the one given, or one that knows such images.

    Without a model it is the nearest card whose out-of-distribution score fits; None, so that only
    filters are read, if no card knows such images.
    """
    if isinstance(model, str) and model == FILTERS:
        return None
    if model is None:
        fitting = fitting_networks(view).cards
        if not fitting:
            return None
        model = fitting[0]

    network = load_model(model, engine="torch")
    if isinstance(network, PixelClassifier):
        raise ArgumentError("The model was itself taught by strokes: name a U-Net, or none.")
    check_reads_slices(network)
    return network


def check_reads_slices(network: UNet) -> None:
    """Raise ArgumentError for a network that reads volumes, because single images are painted."""
    if network.dims == 3:
        raise ArgumentError(f"{network.card.name!r} reads volumes: name one for slices, or none.")
