"""Files made to run code, or to break the reader: nothing runs, each raises our own error."""

import hashlib
import json
import os
import pickle
import struct
import zipfile
from dataclasses import asdict, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.networks import make_network
from helpers.servers import serve
from safetensors.torch import save_file

from unet_helpers import (
    MODELS,
    DownloadError,
    ImageError,
    ModelError,
    download,
    load_model,
    read_image,
)
from unet_helpers.download import cached_path, home_url
from unet_helpers.networks import load
from unet_helpers.networks.load import read_weights, save_model

CARD = make_network().card


class Payload:
    """Unpickled, it makes a file; the stand-in for whatever else it could do."""

    def __init__(self, marker: Path):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.fixture
def payload(tmp_path):
    """A payload that works, as is shown; afterwards it must not have run."""
    marker = tmp_path / "it ran"
    payload = Payload(marker)
    pickle.loads(pickle.dumps(payload))
    assert marker.is_dir()
    marker.rmdir()
    yield payload
    assert not marker.exists()


def bare(payload, path):
    path.write_bytes(pickle.dumps(payload))


def old_protocol(payload, path):
    path.write_bytes(pickle.dumps({"conv.weight": payload}, protocol=0))


def torch_zip(payload, path):
    torch.save({"conv.weight": payload}, path)


def torch_legacy(payload, path):
    torch.save(
        {"conv.weight": torch.zeros(1), "x": payload}, path, _use_new_zipfile_serialization=False
    )


def whole_module(payload, path):
    network = make_network()
    network.extra = payload
    torch.save(network, path)


def array_of_objects(payload, path):
    with path.open("wb") as file:
        np.save(file, np.array([[payload, 1], [2, 3]], dtype=object), allow_pickle=True)


def archive_of_objects(payload, path):
    with path.open("wb") as file:
        np.savez(file, image=np.array([[payload, 1], [2, 3]], dtype=object))


def archive_of_a_pickle(payload, path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("image.npy", pickle.dumps(payload))


def structured_array(payload, path):
    array = np.zeros((4, 4), dtype=[("a", np.float32), ("b", object)])
    array["b"] = payload
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=True)


WRITERS = [
    bare,
    old_protocol,
    torch_zip,
    torch_legacy,
    whole_module,
    array_of_objects,
    archive_of_objects,
    archive_of_a_pickle,
    structured_array,
]


# pickles


@pytest.mark.parametrize("write", WRITERS)
def test_weights_of_the_hub(payload, tmp_path, write):
    path = tmp_path / "unet.pt"
    write(payload, path)
    with pytest.raises(ModelError, match=r"Nothing in it was run|another network"):
        read_weights(path, CARD)


@pytest.mark.parametrize("write", WRITERS)
def test_weights_as_safetensors(payload, tmp_path, write):
    path = tmp_path / "mine.safetensors"
    write(payload, path)
    with pytest.raises(ModelError, match="no file of save_model"):
        load_model(path)


@pytest.mark.parametrize("name", ["unet.pt", "unet.safetensors"])
@pytest.mark.parametrize("write", [bare, torch_zip, torch_legacy])
def test_weights_that_a_server_changed(payload, home, monkeypatch, write, name):
    """Even if the card's hash were that of the bad file."""
    write(payload, home.folder / name)
    digest = sha256_of(home.folder / name)
    monkeypatch.setitem(MODELS, "small", replace(CARD, sha256=digest, url=f"{home.address}/{name}"))
    with pytest.raises(ModelError):
        load_model("small")


@pytest.mark.parametrize(
    "name", ["image.npy", "image.npz", "image.png", "image.nii.gz", "image.tif", "image"]
)
@pytest.mark.parametrize("write", WRITERS)
def test_images(payload, tmp_path, write, name):
    path = tmp_path / name
    write(payload, path)
    with pytest.raises(ImageError, match="image"):
        read_image(path)


# damaged weights


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "small.safetensors"
    save_model(make_network(), path)
    return path


def test_a_whole_file_for_comparison(saved):
    assert load_model(saved).card == CARD


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 9, 100, 0.3, 0.5, 0.99, -1])
def test_truncated(saved, keep):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(ModelError, match=r"small\.safetensors"):
        load_model(saved)


@pytest.mark.parametrize("length", [0, 1, 10**8 + 1, 2**31, 2**63 - 1, 2**64 - 1])
def test_absurd_header_length(saved, length):
    saved.write_bytes(struct.pack("<Q", length) + saved.read_bytes()[8:])
    with pytest.raises(ModelError, match=r"small\.safetensors"):
        load_model(saved)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{}",
        b"null",
        b"{" * 5000,
        b'{"__metadata__": 3}',
        b'{"__metadata__": {"card": "{}"}}',
        b"\xff" * 64,
        b'{"a": {"dtype": "F32", "shape": [1000000000, 1000000000], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}',
        b'{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}',
    ],
)
def test_nonsense_in_the_header(saved, header):
    saved.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(ModelError, match=r"small\.safetensors"):
        load_model(saved)


@pytest.mark.parametrize(
    ("features", "depth", "out_channels"), [(8, 2, 1), (4, 3, 1), (4, 1, 1), (4, 2, 3)]
)
def test_another_network(saved, features, depth, out_channels):
    other = make_network(out_channels, features=features, depth=depth)
    other.card = CARD
    save_model(other, saved)
    with pytest.raises(ModelError, match="does not fit 'small'"):
        load_model(saved)


@pytest.mark.parametrize("card", ["not json", "[]", "3", "{}", '{"name": "small"}'])
def test_a_card_that_is_none(saved, card):
    save_file({"x": torch.zeros(1)}, saved, metadata={"card": card})
    with pytest.raises(ModelError, match=r"small\.safetensors"):
        load_model(saved)


@pytest.mark.parametrize(
    "change", [{"features": 10**9}, {"features": "many"}, {"features": -1}, {"depth": None}]
)
def test_a_card_of_an_impossible_network(saved, change):
    fields = asdict(CARD) | change
    save_file(make_network().state_dict(), saved, metadata={"card": json.dumps(fields)})
    with pytest.raises(ModelError, match=r"small\.safetensors"):
        load_model(saved)


def test_missing(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path / "folder.safetensors"):
        with pytest.raises(ModelError, match=path.name):
            load_model(path)
        (tmp_path / "folder.safetensors").mkdir(exist_ok=True)


# weights that are not shipped


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """This repository as if it were served; no weights beside the code, and an empty cache."""
    folder = tmp_path / "home"
    cache = tmp_path / "cache"
    (folder / "unet_helpers/weights").mkdir(parents=True)
    (tmp_path / "no weights").mkdir()
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with serve(partial(quiet, directory=folder)) as (address, server):
        server.folder, server.address, server.cache = folder, address, cache
        monkeypatch.setenv("UNET_HELPERS_HOME", address)
        monkeypatch.setenv("UNET_HELPERS_CACHE", str(cache))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(download, "PAUSE_SECONDS", 0)
        monkeypatch.setattr(load, "WEIGHTS", tmp_path / "no weights")
        yield server


@pytest.fixture
def published(home, monkeypatch):
    """A card whose weights are at home only: their file there."""
    path = home.folder / "unet_helpers/weights/small.safetensors"
    save_model(make_network(), path)
    monkeypatch.setitem(MODELS, "small", replace(CARD, sha256=sha256_of(path)))
    return path


def test_weights_are_fetched_once_and_then_work_without_a_server(home, published, monkeypatch):
    first = load_model("small")
    assert first.weights_sha256 == sha256_of(published) == MODELS["small"].sha256
    target = cached_path(home_url("unet_helpers/weights/small.safetensors"), first.weights_sha256)
    assert target.parent == home.cache
    assert target.read_bytes() == published.read_bytes()
    monkeypatch.setattr("requests.get", lambda *_, **__: pytest.fail("asked the network"))
    published.unlink()
    x = torch.rand(1, 1, 16, 16)
    with torch.inference_mode():
        assert torch.equal(load_model("small")(x), first(x))
        assert torch.equal(load_model(target)(x), first(x))


def test_weights_with_wrong_bytes_are_refused(home, published):
    content = bytearray(published.read_bytes())
    content[-1] ^= 1
    published.write_bytes(content)
    with pytest.raises(DownloadError, match="sha256 differs"):
        load_model("small")
    assert not list(home.cache.glob("[!.]*"))
    assert not list(home.cache.glob(".*.part"))


def test_cached_weights_that_were_changed_are_fetched_anew(home, published):
    load_model("small")
    (cached,) = home.cache.glob("[!.]*")
    cached.write_bytes(cached.read_bytes()[:-1] + b"\xff")
    assert load_model("small").weights_sha256 == sha256_of(published) == sha256_of(cached)


def test_weights_from_a_mirror(home, published, monkeypatch):
    published.rename(home.folder / "copy.safetensors")
    with pytest.raises(DownloadError, match="404"):
        load_model("small")
    card = replace(MODELS["small"], mirrors=(f"{home.address}/copy.safetensors",))
    monkeypatch.setitem(MODELS, "small", card)
    assert load_model("small").weights_sha256 == card.sha256


def test_shipped_weights_that_were_changed_are_refused(home, published):
    (load.WEIGHTS / "small.safetensors").write_bytes(published.read_bytes()[:-1] + b"\xff")
    with pytest.raises(ModelError, match="Delete it"):
        load_model("small")
