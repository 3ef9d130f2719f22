"""Pages of networks in headless Chromium, opened from disk, without the internet."""

from dataclasses import replace

import pytest

from helpers.networks import make_network
from helpers.places import CHROMIUM
from unet_helpers.networks.unet import UNet
from unet_helpers.web.runtime import PACKAGES

# What the tests of pages need. ``unet-helpers page lungs`` puts the runtime into the cache.
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
    pytest.mark.skipif(
        not all(package.is_cached for package in PACKAGES), reason="the runtime is not in the cache"
    ),
]

# Milliseconds until an answer.
PATIENCE = 180_000


def small_network() -> UNet:
    """Return a network of random weights whose objects are nuclei."""
    model = make_network(out_channels=3, features=4, depth=2, scale="objects", size=24)
    model.card = replace(model.card, instance_method="interiors")
    return model


def opened(browser, path, **options):
    """Open a page from disk, offline; its faults are kept."""
    page = browser.new_page(accept_downloads=True, **options)
    page.context.set_offline(True)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda line: page.faults.append(line.text) if line.type == "error" else None)
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready=yes]", timeout=PATIENCE)
    return page


def give(page, path) -> str:
    """Give a file to the page, and return the status when it has answered or failed."""
    page.evaluate("delete document.body.dataset.failed; delete document.body.dataset.answered")
    page.set_input_files("#file", str(path))
    page.wait_for_selector("body[data-answered], body[data-failed]", timeout=PATIENCE)
    return page.text_content("#status")
