"""Fit the classifier of pixels to what was painted: logistic regression, in well below a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from ..networks.pixel_classifier import PixelClassifier

# Number of painted pixels of a class that are used at most; others are left out evenly.
MOST_OF_A_CLASS = 2000

# Weight of the squared weights (L2) in the loss. Chosen on training images: of
# skin lesions, tissue and electron micrographs, of 0.01 to 3.
L2 = 1.0

# Iterations of L-BFGS: the loss changes little after these.
ITERATIONS = 60

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
    return Samples(maps, classes)


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
    into the layers.
    """
    mean = samples.maps.mean(0)
    deviation = samples.maps.std(0) + LEAST_DEVIATION
    standardised = (samples.maps - mean) / deviation

    count = max(2, classifier.out_channels)
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
