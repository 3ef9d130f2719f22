"""Fit the classifier of pixels to what was painted: logistic regression, in well below a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from ..networks.pixel_classifier import PixelClassifier
from ..networks.pixel_filters import channels_of_scale

# Number of painted pixels of a class that are used at most; others are left out evenly.
MOST_OF_A_CLASS = 2000

# Weight of the squared weights (L2) in the loss. Chosen on training images: of
# skin lesions, tissue and electron micrographs, of 0.01 to 3.
L2 = 1.0

# Iterations of L-BFGS: the loss changes little after these.
ITERATIONS = 60

# Number of groups of strokes, each of which is left out once.
FOLDS = 3

# Group of strokes that are never left out.
NEVER_LEFT_OUT = -1

# Power of the losses in the share of the network. Chosen on training images of skin lesions, and on
# tissue and electron micrographs that the benchmark does not score, of 1 to 4.
SHARPNESS = 4

# Added to each loss, so that no share is 0 divided by 0.
LEAST_LOSS = 1e-6

# Score of a class of which nothing was painted: its probability is 0. Infinity would give NaN where
# maps are interpolated.
NEVER = -1e4

# Added to the standard deviation of each map, so that constant maps are not divided by 0.
LEAST_DEVIATION = 1e-3


@dataclass(frozen=True, eq=False)
class Spread:
    """How the maps vary over whole images."""

    mean: torch.Tensor  # (C,) float32
    variance: torch.Tensor  # (C,) float32


def joined_spread(parts: list[Spread]) -> Spread:
    """Return the spread over several images, each of which counts equally."""
    mean = torch.stack([part.mean for part in parts]).mean(0)
    within = torch.stack([part.variance for part in parts]).mean(0)
    between = torch.stack([(part.mean - mean) ** 2 for part in parts]).mean(0)
    return Spread(mean, within + between)


@dataclass(frozen=True, eq=False)
class Samples:
    """Painted pixels: what the maps say there, and the class."""

    maps: torch.Tensor  # (N, C) float32
    classes: torch.Tensor  # (N,) int64
    strokes: torch.Tensor  # (N,) int64: the number of the stroke that painted it last
    spread: Spread  # of the images that were painted

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def are_enough(self) -> bool:
        """Whether at least two classes were painted."""
        return len(self.classes.unique()) > 1


def join_samples(parts: list[Samples]) -> Samples:
    """Join the samples of several images."""
    maps = torch.cat([part.maps for part in parts])
    classes = torch.cat([part.classes for part in parts])

    # Strokes of several images have different numbers.
    numbers = []
    first = 0
    for part in parts:
        numbers.append(part.strokes + first)
        first = int(numbers[-1].max()) + 1
    spread = joined_spread([part.spread for part in parts])
    return Samples(maps, classes, torch.cat(numbers), spread)


def thinned(painted: np.ndarray, unknown: int) -> np.ndarray:
    """Return pixels (N, 2) of (H, W) that are known, at most MOST_OF_A_CLASS of each class."""
    chosen = []
    for value in np.unique(painted):
        if value == unknown:
            continue
        pixels = np.argwhere(painted == value)
        step = max(1, len(pixels) // MOST_OF_A_CLASS)
        chosen.append(pixels[::step])
    if not chosen:
        return np.zeros((0, 2), np.int64)
    return np.concatenate(chosen)


def fit(samples: Samples, classifier: PixelClassifier) -> None:
    """Fit the layers of a classifier to samples of at least two classes, in place.

    All classes count equally. Two classifiers are fitted, to the filters and to all maps, and their
    scores are averaged by ``share_of_network``. All of it is folded into the layers.
    """
    count = max(2, classifier.out_channels)
    of_network = network_columns(classifier)
    mean, deviation = standardisation(samples, of_network)
    standardised = (samples.maps - mean) / deviation

    weights, bias = logistic_regression(standardised * ~of_network, samples.classes, count)
    share = share_of_network(standardised, samples, of_network, count)
    if share > 0:
        of_all = logistic_regression(standardised, samples.classes, count)
        weights = torch.lerp(weights, of_all[0], share)
        bias = torch.lerp(bias, of_all[1], share)
    weights = weights / deviation
    bias = bias - weights @ mean

    # Classes of which nothing was painted are not in the answer.
    missing = torch.bincount(samples.classes, minlength=count) == 0
    bias[missing] = NEVER

    if classifier.out_channels == 1:
        weights = weights[1:] - weights[:1]
        bias = bias[1:] - bias[:1]
    put_into_layers(classifier, weights, bias)


def network_columns(classifier: PixelClassifier) -> torch.Tensor:
    """Return (C,) bool: which maps are those of the network; those of filters are before them."""
    filters = channels_of_scale(classifier.in_channels)
    by_scale = []
    for layer in classifier.layers:
        assert isinstance(layer, torch.nn.Conv2d)
        by_scale.append(torch.arange(layer.in_channels) >= filters)
    return torch.cat(by_scale)


def standardisation(
    samples: Samples, of_network: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and the deviation (C,) by which the maps are standardised.

    Filters are standardised by the whole images: a few strokes cover so little of them that a
    filter may hardly vary there, and would be weighted far too much elsewhere. The maps of the
    network are zero in most places, and are standardised by the strokes.
    """
    mean = torch.where(of_network, samples.maps.mean(0), samples.spread.mean)
    variance = torch.where(of_network, samples.maps.var(0), samples.spread.variance)
    return mean, variance.sqrt() + LEAST_DEVIATION


def share_of_network(
    maps: torch.Tensor, samples: Samples, of_network: torch.Tensor, count: int
) -> float:
    """Return the weight, 0 to 1, of the classifier that reads the network beside the filters.

    Strokes are left out in FOLDS groups, and predicted by both classifiers. Their shares are as
    powers of their losses, inversely. Before any class has two strokes nothing can be left out:
    then the many maps of a network mislead more than they help.
    """
    folds = folds_of(samples)
    if folds is None or not of_network.any():
        return 0.0

    with_network = LEAST_LOSS
    with_filters = LEAST_LOSS
    for fold in range(FOLDS):
        left_out = folds == fold
        if not left_out.any():
            continue
        with_network += loss_left_out(maps, samples.classes, left_out, count)
        with_filters += loss_left_out(maps * ~of_network, samples.classes, left_out, count)

    weight = with_filters**SHARPNESS
    return weight / (weight + with_network**SHARPNESS)


def folds_of(samples: Samples) -> torch.Tensor | None:
    """Return the group (N,) of each sample; None if no class has two strokes.

    The only stroke of a class is never left out, and the strokes of others are in at least two
    groups, so that no class is ever left out entirely.
    """
    folds = torch.full((len(samples),), NEVER_LEFT_OUT)
    for class_id in samples.classes.unique():
        of_class = samples.classes == class_id
        numbers = samples.strokes[of_class].unique()
        if len(numbers) < 2:
            continue
        place = torch.searchsorted(numbers, samples.strokes[of_class])
        folds[of_class] = place % FOLDS
    if (folds == NEVER_LEFT_OUT).all():
        return None
    return folds


def loss_left_out(
    maps: torch.Tensor, classes: torch.Tensor, left_out: torch.Tensor, count: int
) -> float:
    """Return the cross-entropy of samples that were left out, each class counting equally."""
    weights, bias = logistic_regression(maps[~left_out], classes[~left_out], count)
    logits = maps[left_out] @ weights.T + bias
    surprise = functional.cross_entropy(logits, classes[left_out], reduction="none")
    by_class = [
        surprise[classes[left_out] == class_id].mean() for class_id in classes[left_out].unique()
    ]
    return float(torch.stack(by_class).mean())


def logistic_regression(
    samples: torch.Tensor, classes: torch.Tensor, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit multinomial logistic regression: weights (count, C) and bias (count,)."""
    numbers = torch.bincount(classes, minlength=count).clamp(min=1)
    present = len(classes.unique())
    share = 1 / (numbers[classes] * present)

    weights = torch.zeros(count, samples.shape[1], requires_grad=True)
    bias = torch.zeros(count, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe"
    )

    def loss_with_gradient() -> torch.Tensor:
        optimiser.zero_grad()
        logits = samples @ weights.T + bias
        surprise = functional.cross_entropy(logits, classes, reduction="none")
        loss = (surprise * share).sum() + L2 * (weights**2).sum()
        loss.backward()
        return loss

    optimiser.step(loss_with_gradient)
    return weights.detach(), bias.detach()


def put_into_layers(classifier: PixelClassifier, weights: torch.Tensor, bias: torch.Tensor) -> None:
    """Distribute weights (K, C) over the layers of the scales; the first one gets the bias."""
    start = 0
    with torch.no_grad():
        for number, layer in enumerate(classifier.layers):
            assert isinstance(layer, torch.nn.Conv2d)
            stop = start + layer.in_channels
            layer.weight.copy_(weights[:, start:stop, None, None])
            if number == 0:
                assert layer.bias is not None
                layer.bias.copy_(bias)
            start = stop


def all_weights(classifier: PixelClassifier) -> torch.Tensor:
    """Return the weights (K, C) of all scales side by side."""
    tensors = classifier.layers.state_dict().values()
    kernels = [tensor for tensor in tensors if tensor.dim() == 4]
    return torch.cat(kernels, dim=1)[:, :, 0, 0]


def bias_of(classifier: PixelClassifier) -> torch.Tensor:
    """Return the bias (K,), which the layer of the first scale has."""
    return classifier.layers.state_dict()["0.bias"]
