"""Round the weights of a network so that the errors of each kernel cancel out.

Rounding to the nearest value is a fixed error of each weight. What a kernel adds up is smooth
inside an image (neighbouring pixels are alike), so that the sum of its errors counts most. A few
weights of each kernel are rounded to the farther one of their two neighbours, such that this sum
is nearly 0. On the samples, half as many labels differ from those in single precision as with
rounding to the nearest.
"""

import torch

from .unet import Convolution, UNet, UpConvolution

# At most this many weights of a kernel are rounded to the farther neighbour.
MOST_CHANGED = 4

# The distance of two neighbouring numbers of bfloat16, as the bits of single precision.
ONE_STEP = 1 << 16


def round_weights(model: UNet) -> UNet:
    """Round the weights of all convolutions to bfloat16, in place."""
    for layer in model.modules():
        if isinstance(layer, Convolution | UpConvolution):
            kernels = kernels_of(layer, layer.weight.data)
            layer.weight.data = weights_of(layer, rounded_to_bfloat16(kernels))
    return model


def kernels_of(layer: Convolution | UpConvolution, weights: torch.Tensor) -> torch.Tensor:
    """Return the weights of a layer as (N, K): N kernels, whose K inputs are alike."""
    if isinstance(layer, UpConvolution):
        # (in, out, [d,] h, w): each pixel of the output reads one weight of each input channel.
        return weights.flatten(1).T
    # (out, in, [d,] h, w): the neighbouring pixels of a channel.
    return weights.flatten(2).flatten(0, 1)


def weights_of(layer: Convolution | UpConvolution, kernels: torch.Tensor) -> torch.Tensor:
    """Return the weights of a layer from its kernels (N, K) of ``kernels_of``."""
    if isinstance(layer, UpConvolution):
        kernels = kernels.T
    return kernels.reshape(layer.weight.shape).contiguous()


def rounded_to_bfloat16(kernels: torch.Tensor) -> torch.Tensor:
    """Round (N, K) float32 weights of N kernels to numbers of bfloat16, still in float32."""
    nearest = kernels.bfloat16().float()

    # One step away from 0 where the weight is farther from 0 than its nearest neighbour.
    away_from_zero = (kernels > nearest) == (nearest > 0)
    bits = nearest.view(torch.int32)
    farther = torch.where(away_from_zero, bits + ONE_STEP, bits - ONE_STEP).view(torch.float32)
    return with_small_sums(kernels, nearest, farther)


def rounded_to_steps(kernels: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Round (N, K) weights of N kernels to multiples of their ``steps``, also (N, K)."""
    counts = kernels / steps
    nearest = counts.round()
    farther = torch.where(counts > nearest, nearest + 1, nearest - 1)
    return with_small_sums(kernels, nearest * steps, farther * steps)


def with_small_sums(
    kernels: torch.Tensor, nearest: torch.Tensor, farther: torch.Tensor
) -> torch.Tensor:
    """Choose for each weight (N, K) its nearest neighbour, or for a few of a kernel the farther."""
    rounded = nearest.clone()
    rows = torch.arange(len(kernels))
    for _ in range(MOST_CHANGED):
        sums = (kernels - rounded).sum(dim=1)
        sums_if_changed = (sums[:, None] - (farther - rounded)).abs()
        is_changed = rounded != nearest
        sums_if_changed[(kernels == nearest) | is_changed] = torch.inf
        least, which = sums_if_changed.min(dim=1)

        improves = least < sums.abs()
        chosen = rows[improves], which[improves]
        rounded[chosen] = farther[chosen]
    return rounded
