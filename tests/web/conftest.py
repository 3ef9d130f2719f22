"""Pages of networks, each written once for all tests."""

from pathlib import Path

import pytest
from helpers.live_pages import small_network

from unet_helpers.web.page import page as write_page


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """Write pages when they are asked for, each once."""
    folder = tmp_path_factory.mktemp("pages")

    def page_of(card: str) -> Path:
        path = folder / f"{card}.html"
        if not path.exists():
            model = small_network() if card == "small" else card
            write_page(model, path, progress=False)
        return path

    return page_of
