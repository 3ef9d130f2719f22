"""A corrected segmentation teaches its network: the corrections are what it learns from."""

import numpy as np
import pytest
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.annotate import learning

SIDE = 96


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Three bright discs on a dark, noisy ground."""
    y, x = np.mgrid[:SIDE, :SIDE]
    image = np.random.default_rng(0).normal(40, 4, (SIDE, SIDE))
    for row, column in ((24, 24), (24, 68), (68, 46)):
        image[np.hypot(y - row, x - column) < 12] += 120
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def nuclei(pixels) -> uh.Segmentation:
    result = uh.segment(pixels, "nuclei", zoom=1, progress=False)
    assert result.objects.max() == 3
    return result


@pytest.fixture
def handed_over(monkeypatch) -> dict:
    """What would be trained on."""
    taken = {}

    def take(start, images, masks, **options):
        taken.update(start=start, images=images, masks=masks, options=options)

    monkeypatch.setattr(learning, "fine_tune_on_masks", take)
    return taken


def test_corrected_nuclei_are_handed_over_one_by_one(nuclei, handed_over):
    painter = uh.Painter(nuclei)
    painter.remove((24, 24))
    painter.ring([(80, 6), (80, 26), (92, 26), (92, 6)])
    painter.fine_tune(steps=3)

    assert handed_over["start"] == "nuclei"
    assert handed_over["options"] == {"steps": 3}
    assert handed_over["images"] == [nuclei.image]
    (mask,) = handed_over["masks"]
    assert mask[24, 24] == 0
    assert mask[86, 16] > 0
    assert len({mask[24, 68], mask[68, 46], mask[86, 16]}) == 3
    np.testing.assert_array_equal(mask, painter.result().objects)


def test_corrected_regions_are_handed_over_as_their_classes(pixels, handed_over):
    painter = uh.Painter(uh.segment(pixels, "lungs", progress=False))
    painter.stroke([(60, 10), (60, 30)], "lung")
    painter.fine_tune("em_membranes", steps=3)
    (mask,) = handed_over["masks"]
    assert handed_over["start"] == "em_membranes"
    assert (mask[60, 10:31] == 1).all()
    np.testing.assert_array_equal(mask, painter.result().labels)


def test_painted_images_teach_no_network_for_volumes(pixels, handed_over):
    painter = uh.Painter(pixels, "filters", classes=["a"])
    painter.stroke([(60, 10), (60, 30)], "a")
    with pytest.raises(uh.ArgumentError, match="reads volumes"):
        painter.fine_tune(make_network(dims=3), steps=3)
    assert handed_over == {}


def test_a_corrected_segmentation_trains_its_network(nuclei, pixels, tmp_path):
    painter = uh.Painter(nuclei)
    painter.remove((24, 24))
    with pytest.warns(UserWarning, match="Not converged"):
        network = painter.fine_tune(steps=2)
    assert network.card.classes == nuclei.card.classes
    assert network.card.instance_method == "interiors"
    assert list(network.curve["step"])[-1] == 2

    painter.save(tmp_path / "mine.safetensors")
    saved = uh.load_model(tmp_path / "mine.safetensors")
    assert saved.card.name == network.card.name
    assert uh.segment(pixels, saved, progress=False).objects.max() >= 1

    # After another correction the network is out of date, and nothing else was taught.
    painter.remove((24, 68))
    with pytest.raises(uh.ArgumentError, match="teaches no classifier"):
        painter.save(tmp_path / "mine.safetensors")
