"""From strokes to a network: fine-tuning, the next image to paint, and when to stop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks.view import View
from ..errors import ArgumentError
from ..images.image import MedicalImage
from ..images.read import read_image
from ..inference.segment import segment
from ..networks.cards import ModelCard
from ..networks.load import load_model
from ..networks.pixel_classifier import PixelClassifier
from ..networks.unet import UNet
from ..results.labels import foreground_of
from ..results.metrics import dice
from ..training.finetune import fine_tune as fine_tune_on_masks
from ..training.pairs import list_pairs, read_mask
from .classifier import Samples
from .correcting import Correcting
from .features import ImageFeatures
from .strokes import UNKNOWN, Stroke
from .teaching import Teaching, check_reads_slices, fitted_classifier

if TYPE_CHECKING:
    import pandas as pd

# The card that a network starts from if none is named and only filters are read.
USUAL_START = "nuclei"

# Working px: side of the square to which painted images are resized at most. Smaller than that,
# strokes would vanish; larger, each step takes long.
LARGEST_SIDE = 256


def fine_tune(
    work: Teaching | Correcting,
    model: str | Path | ModelCard | UNet | None,
    options: dict[str, Any],
) -> UNet:
    """Train a network on the painted pixels of all images, or on a corrected segmentation."""
    if isinstance(work, Correcting):
        answer = work.answer()
        mask = answer.objects if work.card.instance_method == "interiors" else answer.labels
        of_card = work.card.name if model is None else model
        return fine_tune_on_masks(of_card, [work.start.image], [mask], **options)

    usual = USUAL_START if work.network is None else work.network.card.name
    start = usual if model is None else model
    check_reads_slices(load_model(start, engine="torch"))
    images = [*(earlier.view.image for earlier in work.earlier), work.view.image]
    masks = [*(earlier.painted for earlier in work.earlier), work.mask()]

    # An image on which nothing was painted teaches nothing.
    pairs = [(image, mask) for image, mask in zip(images, masks) if (mask != UNKNOWN).any()]
    if not pairs:
        raise ArgumentError("Nothing is painted yet: paint strokes of two classes first.")
    shortest = min(min(image.spatial_shape) for image, _ in pairs)
    options = {"classes": work.classes[1:], "size": min(LARGEST_SIDE, shortest), **options}
    return fine_tune_on_masks(
        start, [image for image, _ in pairs], [mask for _, mask in pairs], **options
    )


def check_channels(work: Teaching, image: MedicalImage) -> None:
    """Raise ArgumentError if an image has other channels than those that were painted."""
    channels = 3 if image.channels == 3 else 1
    if channels != work.channels:
        kinds = {1: "grey", 3: "in colour"}
        raise ArgumentError(
            f"{image.name}: it is {kinds[channels]}, and the painted one is {kinds[work.channels]}."
        )


def suggest_next(work: Teaching, images: Iterable[Any]) -> int:
    """Return the position of the image whose answer is least sure.

    How sure an answer is, is the mean over its pixels of the probability of the class that is most
    probable there (uncertainty sampling, Lewis and Gale 1994, SIGIR, p. 3).
    """
    classifier = work.fitted_or_error()
    certainties = []
    for image in images:
        result = segment(image, classifier, progress=False)
        foreground = foreground_of(result.probabilities)
        best = np.maximum(foreground, 1 - foreground)
        if len(result.probabilities) > 1:
            best = result.probabilities.max(axis=0)
        certainties.append(float(best.mean()))
    if not certainties:
        raise ArgumentError("There are no images to choose from.")
    return int(np.argmin(certainties))


def learning_curve(
    work: Teaching, strokes: Sequence[Stroke], images: Sequence[Any], masks: Sequence[Any]
) -> pd.DataFrame:
    """Fit the classifier to the first strokes, one more each time, and score it on other images.

    Strokes of earlier images count first, image by image; those of this image one by one.
    """
    import pandas as pd

    pairs = list_pairs(images, masks)
    template = PixelClassifier(work.channels, 1, work.network)
    features = []
    truths = []
    for pair in pairs:
        image = read_image(pair.image)
        check_channels(work, image)
        view = View(image)
        features.append(ImageFeatures(view, work.card.preprocessing, template))
        truths.append(read_mask(pair.mask))

    rows = []
    for number, samples in samples_after_each_stroke(work, strokes):
        if not samples.are_enough:
            continue
        classifier = fitted_classifier(samples, work.card, work.network)
        scores = [
            score(classifier, maps, truth) for maps, truth in zip(features, truths, strict=True)
        ]
        rows.append({"strokes": number, "Dice": float(np.mean(scores))})
    return pd.DataFrame(rows, columns=["strokes", "Dice"])


def samples_after_each_stroke(
    work: Teaching, strokes: Sequence[Stroke]
) -> Iterator[tuple[int, Samples]]:
    """Yield the number of strokes so far and their samples, with those of earlier images."""
    painted = np.full(work.features.shape, UNKNOWN, np.uint8)
    owner = np.zeros(painted.shape, np.int32)
    number = 0
    for stroke in strokes:
        if stroke.tool not in ("stroke", "erase"):
            continue
        number += 1
        mask = stroke.mask(work.features.shape)
        value = UNKNOWN
        if stroke.tool == "stroke":
            value = work.classes.index(stroke.name)
        painted[mask] = value
        owner[mask] = number
        yield number, work.samples_of(painted, owner)


def score(classifier: PixelClassifier, features: ImageFeatures, truth: np.ndarray) -> float:
    """Return the mean Dice over the classes of a classifier's answer."""
    probabilities = features.predict(classifier)
    card = classifier.card
    if len(probabilities) == 1:
        return dice(truth > 0, probabilities[0] >= card.threshold)
    labels = np.where(
        1 - probabilities[0] >= card.threshold, 1 + probabilities[1:].argmax(axis=0), 0
    )
    by_class = [dice(truth == label, labels == label) for label in range(1, len(probabilities))]
    return float(np.mean(by_class))
