"""Seeds, and the same arithmetic on every processor."""

import os

import numpy as np
import pytest
import torch

os.environ["UNET_HELPERS_PRECISION"] = "float32"  # recorded answers are compared; also in the notebook's kernel


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    np.random.seed(0)
