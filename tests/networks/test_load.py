"""A model is given as a name, a card, a file or a network."""

from dataclasses import replace

import pytest
import torch
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers import ModelError


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A small network and its file in the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    network = make_network()
    uh.save_model(network, "~/small.safetensors")
    return network, tmp_path / "small.safetensors"


def test_a_file_is_a_text_or_a_path_also_in_the_home_folder(saved):
    network, path = saved
    for model in (path, str(path), "~/small.safetensors", type(path)("~/small.safetensors")):
        loaded = uh.load_model(model)
        assert loaded.card == network.card
        assert not loaded.training


def test_a_network_is_returned_as_it_is(saved):
    network, _ = saved
    assert uh.load_model(network) is network


def test_a_network_without_a_card_is_refused():
    with pytest.raises(ModelError, match="has no card"):
        uh.load_model(uh.UNet(1, 1, 2, 1))


def test_a_changed_card_is_loaded_with_the_weights_of_its_name():
    card = replace(uh.MODELS["lungs"], threshold=0.7)
    changed = uh.load_model(card, engine="torch")
    named = uh.load_model("lungs", engine="torch")
    assert changed.card is card
    assert changed.weights_sha256 == named.weights_sha256
    assert torch.equal(changed.conv.weight, named.conv.weight)


def test_a_card_without_weights_is_refused(saved):
    network, _ = saved
    with pytest.raises(ModelError, match="'small' does not say which weights"):
        uh.load_model(network.card)


@pytest.mark.parametrize("name", ["nucle", "Nuclei"])
def test_an_unknown_name_is_answered_with_the_nearest(name):
    with pytest.raises(ModelError, match=rf"no model called '{name}'. Did you mean 'nuclei'\?"):
        uh.load_model(name)


def test_no_name_is_answered_with_all():
    with pytest.raises(ModelError, match=r"Choose one of: artery_vein, .*retinal_vessels"):
        uh.load_model()


def test_only_convolutions_are_kept_in_half_precision(saved):
    network, path = saved
    loaded = uh.load_model(path, trainable=True)
    for name, tensor in network.state_dict().items():
        expected = tensor.half().float() if tensor.dim() == 4 else tensor
        assert torch.equal(loaded.state_dict()[name], expected), name


def test_a_network_that_was_made_for_inference_is_saved_and_answers_the_same(tmp_path):
    """Its batch norms are folded away, as those of all that load_model and fine_tune return."""
    model = uh.load_model("lungs", engine="torch")
    uh.save_model(model, tmp_path / "mine.safetensors")
    again = uh.load_model(tmp_path / "mine.safetensors", engine="torch")
    x = torch.rand(1, 1, 32, 48)
    with torch.inference_mode():
        assert torch.equal(again(x), model(x))


def test_a_folder_that_is_not_there_is_a_save_error(tmp_path):
    with pytest.raises(uh.SaveError, match="nothing was saved"):
        uh.save_model("lungs", tmp_path / "none" / "mine.safetensors")
