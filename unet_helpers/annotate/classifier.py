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

# Score of a class of which nothing was painted: its probability is 0. Infinity would give NaN where
# maps are interpolated.
NEVER = -1e4

# Added to the standard deviation of each map, so that constant maps are not divided by 0.
LEAST_DEVIATION = 1e-3


@dataclass(frozen=True, eq=False)
class Samples:
    """Painted pixels: what the maps say there, and the class."""

    maps: torch.Tensor  # (N, C) float32
    classes: torch.Tensor  # (N,) int64
    strokes: torch.Tensor  # (N,) int64: the number of the stroke that painted it last

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
    return Samples(maps, classes, torch.cat(numbers))


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

    The maps are standardised, and all classes count equally. The standardisation is then folded
    into the layers. The maps of the network are used if they help, see ``network_helps``.
    """
    mean = samples.maps.mean(0)
    deviation = samples.maps.std(0) + LEAST_DEVIATION
    standardised = (samples.maps - mean) / deviation

    count = max(2, classifier.out_channels)
    of_network = network_columns(classifier)
    if of_network.any() and not network_helps(standardised, samples, of_network, count):
        standardised = standardised * ~of_network
    weights, bias = logistic_regression(standardised, samples.classes, count)
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


def network_helps(
    maps: torch.Tensor, samples: Samples, of_network: torch.Tensor, count: int
) -> bool:
    """Return whether strokes are predicted better from the others with the maps of the network.

    The strokes are left out in FOLDS groups. With fewer than two strokes of each class that was
    painted nothing can be left out: then the many maps of a network mislead more than they help.
    """
    folds = folds_of(samples)
    if folds is None:
        return False

    with_network = 0.0
    with_filters = 0.0
    for fold in range(FOLDS):
        left_out = folds == fold
        if not left_out.any():
            continue
        with_network += loss_left_out(maps, samples.classes, left_out, count)
        with_filters += loss_left_out(maps * ~of_network, samples.classes, left_out, count)
    return with_network < with_filters


def folds_of(samples: Samples) -> torch.Tensor | None:
    """Return the group (N,) of each sample; None if a class has fewer than two strokes.

    Each class has strokes in at least two groups, so that none is ever left out entirely.
    """
    folds = torch.zeros(len(samples), dtype=torch.int64)
    for class_id in samples.classes.unique():
        of_class = samples.classes == class_id
        numbers = samples.strokes[of_class].unique()
        if len(numbers) < 2:
            return None
        place = torch.searchsorted(numbers, samples.strokes[of_class])
        folds[of_class] = place % FOLDS
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
