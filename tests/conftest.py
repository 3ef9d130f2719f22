"""Seeds."""

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    """Seed PyTorch, and NumPy's global generator, which some libraries still draw from."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
