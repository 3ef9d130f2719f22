"""Tensors of the structure that Buda, Saha and Mazurowski published."""

import torch

from unet_helpers.networks.unet import UNet


def published_tensors() -> dict[str, torch.Tensor]:
    """Seeded noise, with batch norms that are not the identity."""
    torch.manual_seed(0)
    tensors = UNet(3, 1, 32).state_dict()
    for name, tensor in tensors.items():
        if "norm" in name and tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    return tensors
