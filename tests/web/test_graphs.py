"""The graphs of a page: what they compute, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.networks.unet import fold_batch_norm
from unet_helpers.web import graphs
from unet_helpers.web.graphs import (
    OpenNetwork,
    blocks_of,
    finishing_graph,
    open_network,
    preparing_graph,
    rounding_of,
)
from unet_helpers.web.page import page, scale_of

runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def session_of(model):
    return runtime.InferenceSession(model.SerializeToString())


@pytest.fixture(scope="module")
def model():
    return fold_batch_norm(make_network(out_channels=3, features=4, depth=2))


def feeds(model, skips=1.0, channels=0):
    image = torch.rand(1, model.in_channels, 32, 48, generator=torch.Generator().manual_seed(0))
    return {
        "image": image.numpy(),
        "skips": np.full(model.depth, skips, np.float32),
        "channels": np.full(len(blocks_of(model)), channels, np.int64),
    }


def test_an_open_network_answers_as_the_network_does_and_shows_its_maps_and_kernels(model):
    session = session_of(open_network(model))
    names = [output.name for output in session.get_outputs()]
    given = feeds(model, channels=2)
    outputs = dict(zip(names, session.run(None, given)))
    image = torch.from_numpy(given["image"])
    with torch.inference_mode():
        np.testing.assert_allclose(outputs["probabilities"], model(image), atol=1e-3)
        first = model.encoder1(image)
    np.testing.assert_allclose(outputs["made_encoder1"], first, atol=1e-3)

    kernel = OpenNetwork(model).second_convolution("decoder1").weight[2].detach()
    np.testing.assert_allclose(outputs["kernel_decoder1"], kernel, atol=1e-3)
    assert [block.level for block in blocks_of(model)] == [1, 2, 3, 2, 1]


def test_switches_of_the_skips_change_the_answer(model):
    session = session_of(open_network(model))
    on = session.run(["probabilities"], feeds(model))[0]
    off = session.run(["probabilities"], feeds(model, skips=0.0))[0]
    assert np.abs(on - off).max() > 0.01


def test_large_weights_have_16_bits_and_the_rounding_is_told():
    lungs = uh.load_model("lungs", engine="torch")
    size = len(open_network(lungs).SerializeToString())
    assert size < 2.2 * sum(p.numel() for p in lungs.parameters())
    assert 0 < rounding_of(lungs) < 0.005


def test_rounding_that_changes_answers_is_refused(model, monkeypatch):
    monkeypatch.setattr(graphs, "LARGEST_ROUNDING", -1.0)
    with pytest.raises(uh.ModelError, match="too much for a page"):
        rounding_of(model)


@pytest.mark.parametrize("card", ["retinal_vessels", "lungs", "nuclei", "chest", "artery_vein"])
def test_three_graphs_of_a_page_are_the_raw_graph(tmp_path, card):
    network = make_network(uh.MODELS[card].out_channels, uh.MODELS[card].in_channels)
    # Mirrored answers are averaged by the worker.
    network.card = replace(uh.MODELS[card], flips=1)
    has_field = network.card.preprocessing.scale == "field of view"
    raw = runtime.InferenceSession(uh.export_onnx(network, tmp_path / "raw.onnx", raw=True))
    pixels = np.random.default_rng(0).integers(0, 255, (80, 120, 3)).astype(np.uint8)
    inside = np.zeros((80, 120), bool)
    inside[10:70, 20:100] = True
    given = {"pixels": pixels}
    optional = {"inside": inside, "zoom": np.array(0 if has_field else 1, "f4")}
    names = {value.name for value in raw.get_overridable_initializers()}
    expected = raw.run(None, given | {n: v for n, v in optional.items() if n in names})[0]

    prepare = session_of(preparing_graph(network.card, network.in_channels, "uint8"))
    needed = {value.name for value in prepare.get_inputs()}
    image = prepare.run(None, {n: v for n, v in (given | optional).items() if n in needed})[0]
    with torch.inference_mode():
        answer = network(torch.from_numpy(image)[None])[0].numpy()
    finish = session_of(finishing_graph(network.card, network.out_channels))
    needed = {value.name for value in finish.get_inputs()}
    back = {"answer": answer, "size": np.array([80, 120]), "inside": inside}
    found = finish.run(None, {n: v for n, v in back.items() if n in needed})[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_person_sets_the_scale_where_the_graph_does_not_find_it():
    assert scale_of(uh.MODELS["lungs"]) is None
    assert scale_of(uh.MODELS["retinal_vessels"]) is None
    assert scale_of(uh.MODELS["nuclei"]).kind == "diameter"
    membranes = scale_of(uh.MODELS["em_membranes"])
    assert (membranes.kind, membranes.size, membranes.name) == ("spacing", 4, "nm")
    assert membranes.start == 4


def test_images_without_a_pixel_size_begin_at_the_usual_one():
    cells = scale_of(uh.MODELS["dic_cells"])
    zoom = cells.size / cells.start
    assert zoom == pytest.approx(0.5, rel=0.01)
    assert cells.start < cells.most
    assert cells.usual == "0.19 µm"
    spacing = replace(uh.MODELS["em_membranes"].preprocessing, usual_spacing=8e-6)
    membranes = scale_of(replace(uh.MODELS["em_membranes"], preprocessing=spacing))
    assert (membranes.size, membranes.start) == (4, 8)


def test_a_network_of_volumes_gets_no_page(tmp_path):
    with pytest.raises(uh.ArgumentError, match="hippocampus"):
        page("hippocampus", tmp_path / "page.html")
    assert not list(tmp_path.iterdir())
