"""Folders, lists and addresses; files in and out of a session; phantoms."""

import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from helpers.drawn import draw_nuclei
from helpers.files import named
from helpers.networks import make_network
from PIL import Image

import unet_helpers as uh
from unet_helpers.inference.sources import find_images


@pytest.fixture
def folder(tmp_path):
    """Ten images, a text file and a hidden file."""
    for i in range(10):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (24, 30), np.uint8)).save(
            tmp_path / f"{i}.png"
        )
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


def test_what_counts_as_one_image(folder):
    array = np.zeros((4, 5))
    assert find_images(array)[0].image is array
    assert find_images([folder / "1.png", array, [str(folder / "2.png")]])[2].image.name == "2.png"
    assert find_images("missing.png")[0].image.name == "missing.png"  # for the reader to say so
    named("dicom series").write(folder / "series")
    (volume,) = [found for found in find_images(folder) if found.options]
    assert (volume.image, volume.options) == (folder / "series", {"series": "1.2.3"})
    (whole,) = find_images(folder / "series", whole=True)
    assert whole.image == folder / "series"
    assert not whole.options


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
    with pytest.raises(uh.ImageError, match="a.txt"):
        uh.segment_many(tmp_path, make_network())
    with pytest.raises(uh.ImageError):
        uh.segment_many([], make_network())


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_path_is_not_the_current_folder(folder, empty, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(uh.ImageError, match="the path is empty"):
        find_images(empty)


def test_take_away_packs_everything_once(tmp_path):
    results = tmp_path / "results"
    uh.segment(np.eye(20, dtype=np.uint8), make_network()).save(results)
    archive = uh.take_away(results)
    with zipfile.ZipFile(archive) as packed:
        assert {f"results/{p.name}" for p in results.iterdir()} == set(packed.namelist())
    assert uh.take_away(results) == archive  # and the archive is not packed into itself
    with pytest.raises(uh.SaveError, match="result.save"):
        uh.take_away(tmp_path / "nothing here")


def test_upload_outside_colab_says_what_to_do_instead():
    with pytest.raises(uh.UNetHelpersError, match="path"):
        uh.upload()


def test_a_phantom_has_the_truth_it_was_drawn_with():
    pixels, truth = draw_nuclei(30, side=256, seed=3)
    assert pixels.shape == truth.shape == (256, 256)
    assert pixels.dtype == np.uint8
    assert 20 <= len(np.unique(truth)) - 1 <= 30
    assert pixels[truth > 0].mean() > 3 * pixels[truth == 0].mean()
    np.testing.assert_array_equal(pixels, draw_nuclei(30, side=256, seed=3)[0])
