"""Fit the classifier of pixels to what was painted: logistic regression, in well below a second."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from ..networks.pixel_classifier import PixelClassifier
from ..networks.pixel_filters import channels_of_scale

# Number of painted pixels of a class that are used at most; others are left out evenly.
MOST_OF_A_CLASS = 2000

# Weight of the squared weights (L2) in the loss. Chosen, of 0.01 to 3, on training images of skin
# lesions, tissue and electron micrographs.
L2 = 1.0

# Iterations of L-BFGS: the loss changes little after these.
ITERATIONS = 60

# Number of groups of strokes, each of which is left out once.
FOLDS = 3

# Group of strokes that are never left out.
NEVER_LEFT_OUT = -1

# Power of the losses in the share of the network. Chosen, of 1 to 4, on training images of skin
# lesions, and on tissue and electron micrographs that the benchmark does not score.
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
    filters = read_filters(samples, of_network)
    weights, bias = fitted(samples.maps, samples.classes, filters, count)
    share = share_of_network(samples, of_network, count)
    if share > 0:
        both = read_all(samples, of_network)
        weights_of_both, bias_of_both = fitted(samples.maps, samples.classes, both, count)
        weights = torch.lerp(weights, weights_of_both, share)
        bias = torch.lerp(bias, bias_of_both, share)

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


@dataclass(frozen=True, eq=False)
class Reading:
    """Which maps a classifier reads, and how they are standardised."""

    columns: torch.Tensor  # (C,) bool
    mean: torch.Tensor  # (C,) float32
    deviation: torch.Tensor  # (C,) float32


def read_all(samples: Samples, of_network: torch.Tensor) -> Reading:
    """Return how filters and network are read together.

    Filters are standardised by the whole images: a few strokes cover so little of them that a
    filter may hardly vary there, and would be weighted far too much elsewhere. The maps of the
    network are zero in most places, and are standardised by the strokes.
    """
    mean = torch.where(of_network, samples.maps.mean(0), samples.spread.mean)
    variance = torch.where(of_network, samples.maps.var(0), samples.spread.variance)
    return Reading(torch.ones_like(of_network), mean, variance.sqrt() + LEAST_DEVIATION)


def read_filters(samples: Samples, of_network: torch.Tensor) -> Reading:
    """Return how filters alone are read: as beside the network."""
    return replace(read_all(samples, of_network), columns=~of_network)


def fitted(
    maps: torch.Tensor, classes: torch.Tensor, reading: Reading, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit weights (count, C) and bias (count,) for maps as they are."""
    standardised = (maps - reading.mean) / reading.deviation * reading.columns
    weights, bias = logistic_regression(standardised, classes, count)
    weights = weights / reading.deviation
    return weights, bias - weights @ reading.mean


def share_of_network(samples: Samples, of_network: torch.Tensor, count: int) -> float:
    """Return the weight, 0 to 1, of the classifier that reads the network beside the filters.

    Strokes are left out in FOLDS groups, and predicted from the others by both classifiers. It is 1
    where the network is better than the filters and than chance; else the weights are as powers of
    the losses, inversely. Before a class has so many strokes nothing is left out, and it is 0: then
    the many maps of a network mislead more than they help.
    """
    folds = folds_of(samples)
    if folds is None or not of_network.any():
        return 0.0

    of_all = read_all(samples, of_network)
    of_filters = read_filters(samples, of_network)
    with_network = []
    with_filters = []
    for fold in range(FOLDS):
        left_out = folds == fold
        with_network.append(loss_left_out(samples, left_out, of_all, count))
        with_filters.append(loss_left_out(samples, left_out, of_filters, count))
    loss_with_network = LEAST_LOSS + float(np.mean(with_network))
    loss_with_filters = LEAST_LOSS + float(np.mean(with_filters))

    by_chance = float(np.log(len(samples.classes.unique())))
    if loss_with_network < min(loss_with_filters, by_chance):
        return 1.0
    weight = loss_with_filters**SHARPNESS
    return weight / (weight + loss_with_network**SHARPNESS)


def folds_of(samples: Samples) -> torch.Tensor | None:
    """Return the group (N,) of each sample; None if no class has FOLDS strokes.

    Classes with fewer strokes are never left out: one stroke more or less changes what is known of
    them too much to judge by.
    """
    folds = torch.full((len(samples),), NEVER_LEFT_OUT)
    for class_id in samples.classes.unique():
        of_class = samples.classes == class_id
        numbers = samples.strokes[of_class].unique()
        if len(numbers) < FOLDS:
            continue
        place = torch.searchsorted(numbers, samples.strokes[of_class])
        folds[of_class] = place % FOLDS
    if (folds == NEVER_LEFT_OUT).all():
        return None
    return folds


def loss_left_out(samples: Samples, left_out: torch.Tensor, reading: Reading, count: int) -> float:
    """Return the cross-entropy of samples that were left out, each class counting equally."""
    others = ~left_out
    weights, bias = fitted(samples.maps[others], samples.classes[others], reading, count)
    logits = samples.maps[left_out] @ weights.T + bias
    classes = samples.classes[left_out]
    surprise = functional.cross_entropy(logits, classes, reduction="none")
    by_class = [surprise[classes == class_id].mean() for class_id in classes.unique()]
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
