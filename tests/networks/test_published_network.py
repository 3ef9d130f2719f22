"""The published network has its author's structure and is loaded safely.

The expected values come from a literal re-statement of the author's code (unet.py of
github.com/mateuszbuda/brain-segmentation-pytorch), without any function of networks/.
"""

import hashlib
import os
import pickle
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.published import published_tensors
from torch.nn import functional

from unet_helpers import download
from unet_helpers.errors import DownloadError, ModelError
from unet_helpers.networks.cards import MODELS
from unet_helpers.networks.load import read_weights
from unet_helpers.networks.unet import UNet, fold_batch_norm

CARD = MODELS["brain_flair_buda2019"]


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    """What a file of the published network holds."""
    return published_tensors()


def published_shapes() -> dict[str, tuple]:
    """Name and shape of each tensor of the author's ``UNet(3, 1, init_features=32)``, by hand."""
    blocks = [
        ("encoder1.enc1", 3, 32),
        ("encoder2.enc2", 32, 64),
        ("encoder3.enc3", 64, 128),
        ("encoder4.enc4", 128, 256),
        ("bottleneck.bottleneck", 256, 512),
        ("decoder4.dec4", 512, 256),
        ("decoder3.dec3", 256, 128),
        ("decoder2.dec2", 128, 64),
        ("decoder1.dec1", 64, 32),
    ]
    shapes = {}
    for name, below, width in blocks:
        for i, channels in (("1", below), ("2", width)):
            shapes[f"{name}conv{i}.weight"] = (width, channels, 3, 3)
            for part in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{name}norm{i}.{part}"] = (width,)
            shapes[f"{name}norm{i}.num_batches_tracked"] = ()
    for name, below, width in (("4", 512, 256), ("3", 256, 128), ("2", 128, 64), ("1", 64, 32)):
        shapes |= {f"upconv{name}.weight": (below, width, 2, 2), f"upconv{name}.bias": (width,)}
    return shapes | {"conv.weight": (1, 32, 1, 1), "conv.bias": (1,)}


def test_names_and_shapes_are_those_of_the_published_network(tensors):
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == published_shapes()
    learnt = [
        np.prod(shape)
        for name, shape in published_shapes().items()
        if not name.endswith(("mean", "var", "tracked"))
    ]
    assert sum(map(int, learnt)) == 7_763_041  # as the published network has


def test_the_network_computes_what_the_published_one_computes(tensors):
    x = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))

    def block(x, name):
        for i in "12":
            x = functional.conv2d(x, tensors[f"{name}conv{i}.weight"], padding=1)
            norm = [
                tensors[f"{name}norm{i}.{part}"]
                for part in ("running_mean", "running_var", "weight", "bias")
            ]
            x = functional.relu(functional.batch_norm(x, *norm))
        return x

    enc1 = block(x, "encoder1.enc1")
    enc2 = block(functional.max_pool2d(enc1, 2), "encoder2.enc2")
    enc3 = block(functional.max_pool2d(enc2, 2), "encoder3.enc3")
    enc4 = block(functional.max_pool2d(enc3, 2), "encoder4.enc4")
    y = block(functional.max_pool2d(enc4, 2), "bottleneck.bottleneck")
    for i, skip in (("4", enc4), ("3", enc3), ("2", enc2), ("1", enc1)):
        y = functional.conv_transpose2d(
            y, tensors[f"upconv{i}.weight"], tensors[f"upconv{i}.bias"], stride=2
        )
        y = block(torch.cat((y, skip), dim=1), f"decoder{i}.dec{i}")
    expected = torch.sigmoid(functional.conv2d(y, tensors["conv.weight"], tensors["conv.bias"]))
    network = UNet(3, 1, 32).eval()
    network.load_state_dict(tensors)
    with torch.inference_mode():
        assert torch.allclose(network(x), expected, atol=1e-5)
        assert torch.allclose(fold_batch_norm(network)(x), expected, atol=1e-4)
    assert expected.std() > 1e-3  # the comparison is not of two constants


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder served on this computer, and an empty cache: (folder, address)."""
    folder = tmp_path / "served"
    folder.mkdir()
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=folder))
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    monkeypatch.setenv("UNET_HELPERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0)
    yield folder, f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()


@pytest.mark.parametrize("zipped", [True, False], ids=["today's format", "the format of 2019"])
def test_weights_come_from_a_server_and_only_if_their_hash_begins_as_the_card_says(
    tensors, server, zipped
):
    folder, address = server
    torch.save(tensors, folder / "unet.pt", _use_new_zipfile_serialization=zipped)
    digest = hashlib.sha256((folder / "unet.pt").read_bytes()).hexdigest()
    path = download.fetch(f"{address}/unet.pt", digest[:8], progress=False)
    network = read_weights(path, CARD)
    assert path.suffix == ".pt"
    assert network.weights_sha256 == digest
    assert network.card is CARD
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in network.state_dict().items())
    with pytest.raises(DownloadError, match="sha256"):
        download.fetch(f"{address}/unet.pt", "e012d006", progress=False)


class Payload:
    """Unpickled, it runs a shell command; the stand-in for a file that someone tampered with."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch '{self.target}'",)


@pytest.mark.parametrize(
    "kind", ["torch.save", "torch.save of 2019", "bare pickle", "beside good tensors"]
)
def test_a_malicious_pickle_runs_nothing(tmp_path, tensors, kind):
    path = tmp_path / "unet.pt"
    target = tmp_path / "owned"
    content = (
        Payload(target)
        if kind != "beside good tensors"
        else {**tensors, "conv.bias": Payload(target)}
    )
    if kind == "bare pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind != "torch.save of 2019")
    with pytest.raises(ModelError, match="Nothing in it was run") as caught:
        read_weights(path, CARD)
    assert not target.exists()
    # torch's own advice to load it all the same is not passed on.
    assert "weights_only" not in str(caught.value)
    if kind == "bare pickle":  # the payload is a live one
        pickle.loads(path.read_bytes())
        assert target.exists()


def test_damaged_files_are_refused_with_clear_words(tmp_path, tensors):
    torch.save(tensors, tmp_path / "good.pt")
    good = (tmp_path / "good.pt").read_bytes()
    for content in (b"", b"<html>404</html>", good[: len(good) // 2], b"PK\x03\x04" + bytes(100)):
        (tmp_path / "bad.pt").write_bytes(content)
        with pytest.raises(ModelError, match=r"bad\.pt does not fit"):
            read_weights(tmp_path / "bad.pt", CARD)
    with pytest.raises(ModelError, match="missing"):
        read_weights(tmp_path / "none.pt", CARD)


@pytest.mark.parametrize(
    "change", ["width", "missing", "extra", "a list", "a number", "numbers as names"]
)
def test_files_with_other_tensors_are_refused(tmp_path, tensors, change):
    content = {
        "width": UNet(3, 1, 8).state_dict(),
        "missing": {name: tensor for name, tensor in tensors.items() if name != "conv.bias"},
        "extra": {**tensors, "another": torch.zeros(3)},
        "a list": list(tensors.values()),
        "a number": {**tensors, "conv.bias": 1.5},
        "numbers as names": {1: torch.zeros(3)},
    }[change]
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="another network") as caught:
        read_weights(tmp_path / "other.pt", CARD)
    assert len(str(caught.value)) < 600
