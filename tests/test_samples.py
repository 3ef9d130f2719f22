"""The sample images: complete rows, readable files, fetched where they are not shipped, and quick without a network."""

import hashlib
import json
import re
import shutil
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from helpers.servers import closed_port, serve

from unet_helpers import (
    MODELS,
    DownloadError,
    download,
    list_samples,
    read_image,
    sample,
    samples,
    samples_at_hand,
)
from unet_helpers.download import cached_path

ROWS = json.loads((samples.FOLDER / "samples.json").read_text("utf-8"))
SHIPPED = [row for row in ROWS if "file" in row]
ONLINE = [row for row in ROWS if "file" not in row]
SHARED = Path(__file__).parents[2] / "shared/samples"


class Folder(SimpleHTTPRequestHandler):
    """Serves a folder, and counts."""

    def do_GET(self):
        self.server.seen.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_HELPERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(samples, "unreachable", set())
    return tmp_path / "cache"


@pytest.fixture
def offline(monkeypatch):
    """No address answers; gives the list of those that were asked."""
    import requests

    asked = []

    def get(url, **_):
        asked.append(url)
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(requests, "get", get)
    return asked


def served(monkeypatch, address, rows):
    """The table as it would be if these rows' files came from that address, each holding its own name."""

    def moved(source):
        name = source["url"].replace("/", "_")[-60:]
        return source | {
            "url": f"{address}/{name}",
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
        }

    table = {}
    for row in rows:
        online = "url" in row.get("ground_truth", ())
        truth = {"ground_truth": moved(row["ground_truth"])} if online else {}
        table[row["name"]] = (moved(row) if "url" in row else row) | truth
    monkeypatch.setattr(samples, "table", lambda: table)
    return table


def put(folder, source):
    """The file that ``served`` promises."""
    name = source["url"].rsplit("/", 1)[-1]
    (folder / name).write_text(name)


# the table


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_row_is_complete(row):
    assert row["card"] in MODELS
    assert row["title"]
    assert row["licence"]
    assert row["citation"]
    assert ("file" in row) != ("url" in row)
    for source in (row, row.get("ground_truth")):
        if source and "url" in source:
            assert re.fullmatch(r"https://\S+", source["url"])
            assert re.search("/[0-9a-f]{40}/", source["url"]), "a branch would change under us"
            assert re.fullmatch("[0-9a-f]{64}", source["sha256"])
            assert source["bytes"] > 0


def test_names_and_cache_names_are_unique():
    assert len({row["name"] for row in ROWS}) == len(ROWS) == len(samples.table())
    sources = [*ONLINE, *(row["ground_truth"] for row in ONLINE if "ground_truth" in row)]
    assert len({cached_path(source["url"], source["sha256"]) for source in sources}) == len(sources)


@pytest.mark.parametrize("row", SHIPPED, ids=lambda row: row["name"])
def test_a_shipped_sample_is_readable_and_its_licence_told(row, offline):
    image = read_image(sample(row["name"]))
    assert image.pixels.std() > 0
    assert min(image.spatial_shape) > 20
    assert f"`{row['file']}`" in (samples.FOLDER / "LICENSES.md").read_text("utf-8")
    assert not offline


def test_nothing_is_shipped_that_no_row_speaks_of():
    files = {path.name for path in samples.FOLDER.iterdir()} - {"LICENSES.md", "samples.json"}
    assert files == {row["file"] for row in SHIPPED} | {
        r["ground_truth"]["file"] for r in SHIPPED if "ground_truth" in r
    }


@pytest.mark.parametrize(
    "row", [row for row in SHIPPED if "ground_truth" in row], ids=lambda row: row["name"]
)
def test_a_shipped_true_mask_fits_its_image(row, offline):
    image, truth = (read_image(sample(row["name"], ground_truth=kind)) for kind in (False, True))
    assert image.spatial_shape == truth.spatial_shape
    assert truth.pixels.max() > 1
    assert f"`{row['ground_truth']['file']}`" in (samples.FOLDER / "LICENSES.md").read_text("utf-8")
    assert not offline


def test_as_a_table(offline):
    frame = list_samples()
    assert list(frame.index) == [row["name"] for row in ROWS]
    assert not frame.isna().any().any()
    assert (frame["comes"] == "with the repository").sum() == len(SHIPPED)
    assert not offline


# fetching


def test_samples_and_true_masks_come_from_where_the_table_says(monkeypatch, tmp_path, cache):
    with serve(partial(Folder, directory=tmp_path)) as (address, server):
        table = served(monkeypatch, address, ROWS)
        for name, row in table.items():
            for truth, source in ((False, row), (True, row.get("ground_truth"))):
                if not source or "url" not in source:
                    continue
                put(tmp_path, source)
                path = sample(name, ground_truth=truth, progress=False)
                assert path == cached_path(source["url"], source["sha256"])
                assert path.parent == cache
                assert hashlib.sha256(path.read_bytes()).hexdigest() == source["sha256"]
        fetched = len(server.seen)
        assert fetched == sum("url" in row for row in ROWS) + sum(
            "ground_truth" in row for row in ONLINE
        )
        assert samples_at_hand() == list(table)
        assert len(server.seen) == fetched


def test_samples_at_hand_fetches_what_it_can(monkeypatch, tmp_path):
    with serve(partial(Folder, directory=tmp_path)) as (address, server):
        table = served(monkeypatch, address, ROWS)
        gone, *there = [row for row in table.values() if "url" in row]
        for row in there:
            put(tmp_path, row)
        for _ in range(2):
            assert samples_at_hand() == [name for name in table if name != gone["name"]]
        assert len(server.seen) == 1 + len(
            there
        )  # the missing one was asked for once, and hides no other
        cards = {row["card"] for row in table.values()}
        by_card = {card: samples_at_hand(card) for card in cards}
        assert sorted(sum(by_card.values(), [])) == sorted(samples_at_hand())
        assert all(table[name]["card"] == card for card in cards for name in by_card[card])


def test_wrong_bytes_are_not_at_hand(monkeypatch, tmp_path, cache):
    with serve(partial(Folder, directory=tmp_path)) as (address, _):
        table = served(monkeypatch, address, ONLINE[:1])
        row = table[ONLINE[0]["name"]]
        put(tmp_path, row)
        (tmp_path / row["url"].rsplit("/", 1)[-1]).write_text("something else")
        assert samples_at_hand() == []
        with pytest.raises(DownloadError, match="sha256"):
            sample(row["name"])
    assert not cached_path(row["url"], row["sha256"]).exists()


@pytest.mark.parametrize(
    ("name", "ground_truth", "words"),
    [
        ("nothing", False, "Choose one of: .*retina"),
        ("nothing", True, "Choose one of"),
        ("retina", True, "true mask"),
    ],
)
def test_what_there_is_not(name, ground_truth, words, offline):
    with pytest.raises(DownloadError, match=words):
        sample(name, ground_truth=ground_truth)
    assert not offline


# without a network


def test_offline_the_shipped_ones_are_there_and_each_host_is_tried_once(offline):
    start = time.monotonic()
    for _ in range(3):
        assert samples_at_hand() == [row["name"] for row in SHIPPED]
    assert len(set(offline)) == len({row["url"].split("/")[2] for row in ONLINE})
    assert len(offline) <= download.TRIES * len(set(offline))
    assert time.monotonic() - start < 2


def test_offline_a_closed_door_is_quick_too(monkeypatch):
    served(monkeypatch, closed_port(), ROWS)
    start = time.monotonic()
    assert samples_at_hand() == [row["name"] for row in SHIPPED]
    assert time.monotonic() - start < 2


def test_offline_a_sample_says_where_to_put_its_file(offline):
    row = ONLINE[0]
    target = cached_path(row["url"], row["sha256"])
    with pytest.raises(DownloadError) as failure:
        sample(row["name"])
    assert all(part in str(failure.value) for part in (row["url"], str(target.parent), target.name))


def test_offline_a_damaged_sample_is_not_at_hand(offline):
    target = cached_path(ONLINE[0]["url"], ONLINE[0]["sha256"])
    target.parent.mkdir()
    target.write_bytes(b"half of it")
    assert samples_at_hand() == [row["name"] for row in SHIPPED]
    assert not target.exists()


@pytest.mark.skipif(
    not SHARED.is_dir(),
    reason="needs ../shared/samples: the files that a user's computer downloads",
)
def test_with_every_file_in_the_cache_all_samples_are_at_hand(offline, cache):
    held = {
        hashlib.sha256(path.read_bytes()).hexdigest(): path
        for path in SHARED.rglob("*")
        if path.is_file()
    }
    sources = [(row["name"], False, row) for row in ONLINE]
    sources += [(row["name"], True, row["ground_truth"]) for row in ONLINE if "ground_truth" in row]
    cache.mkdir()
    for _, _, source in sources:
        shutil.copyfile(held[source["sha256"]], cached_path(source["url"], source["sha256"]))
    assert samples_at_hand() == [row["name"] for row in ROWS]
    shapes = {}
    for name, truth, source in sources:
        path = sample(name, ground_truth=truth)
        content = path.read_bytes()
        assert hashlib.sha256(content).hexdigest() == source["sha256"]
        assert len(content) == source["bytes"]
        shapes[name, truth] = read_image(path).spatial_shape
    assert all(shapes[name, False] == shapes[name, True] for name, truth, _ in sources if truth)
    assert not offline
