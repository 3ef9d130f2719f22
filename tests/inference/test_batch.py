"""``segment_many``: the results of many images in memory."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from helpers.networks import make_network
from PIL import Image

import unet_helpers as uh


@pytest.fixture
def folder(tmp_path):
    """Ten images, a text file and a hidden file."""
    for number in range(10):
        pixels = np.random.default_rng(number).integers(0, 255, (24, 30), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    return tmp_path


def test_a_folder_gives_its_images_and_names_what_it_left_out(folder, capsys):
    results = uh.segment_many(folder, make_network(), progress=False)
    assert [r.image.path.name for r in results] == [f"{i}.png" for i in range(10)]
    assert "notes.txt" in capsys.readouterr().out


def test_one_wrong_file_is_said_once(folder, capsys):
    with pytest.raises(uh.ImageError, match="looks like text"):
        uh.segment_many(folder / "notes.txt", make_network())
    assert "left out" not in capsys.readouterr().out


def test_threads_give_the_same_answers_in_the_same_order(folder):
    network = make_network()
    one = uh.segment_many(folder, network)
    with ThreadPoolExecutor(3) as executor:
        many = uh.segment_many(folder, network, executor)
    for a, b in zip(one, many, strict=True):
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-6)


def test_a_web_address_is_fetched(folder, monkeypatch):
    monkeypatch.setenv("UNET_HELPERS_CACHE", str(folder / "cache"))
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    handler.log_message = lambda *words: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (result,) = uh.segment_many(f"http://127.0.0.1:{server.server_port}/3.png", make_network())
    server.shutdown()
    assert result.labels.shape == (24, 30)


def test_nothing_usable_is_an_error_that_says_why(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(uh.ImageError, match=r"a\.txt"):
        uh.segment_many(tmp_path, make_network())


def test_of_an_empty_list_nothing_can_be_segmented():
    with pytest.raises(uh.ImageError, match="there is nothing in this folder"):
        uh.segment_many([], make_network())


def test_a_network_may_be_given_as_name_card_file_or_network(folder, tmp_path):
    uh.save_model(make_network(), tmp_path / "small.safetensors")
    image = folder / "1.png"
    card = uh.MODELS["lungs"]
    for model, name in (
        ("lungs", "lungs"),
        (card, "lungs"),
        (tmp_path / "small.safetensors", "small"),
        (make_network(), "small"),
    ):
        (result,) = uh.segment_many(image, model, progress=False)
        assert result.card.name == name


def test_an_option_that_does_not_exist_is_named_before_anything_is_read():
    with pytest.raises(uh.ArgumentError, match="chanel"):
        uh.segment_many("missing.png", make_network(), chanel=1)


def test_an_error_that_is_no_images_is_raised(folder, monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError

    monkeypatch.setattr("unet_helpers.inference.sources.segment", broken)
    with pytest.raises(ZeroDivisionError):
        uh.segment_many(folder, make_network(), progress=False)


@pytest.mark.parametrize(("images", "own_bar"), [(["1.png"], True), (["1.png", "2.png"], False)])
def test_one_image_shows_its_own_bar_and_several_one_for_all(images, own_bar, folder, monkeypatch):
    bars = []

    def spy(image, model, *, progress):
        bars.append(progress)
        return uh.segment(image, model, progress=False)

    monkeypatch.setattr("unet_helpers.inference.sources.segment", spy)
    uh.segment_many([folder / name for name in images], make_network())
    assert bars == [own_bar] * len(images)
