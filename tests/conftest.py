"""Seeds, and the browser of the lane ``browser``."""

import numpy as np
import pytest
import torch
from helpers.places import CHROMIUM


@pytest.fixture(autouse=True)
def seeded():
    """Seed PyTorch, and NumPy's global generator, which some libraries still draw from."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002


@pytest.fixture(scope="module")
def browser():
    """Chromium, driven by Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()
