"""The sample images: complete rows, readable files, fetched where they are not shipped.

Without a network they give up soon.
"""

import hashlib
import json
import re
import shutil
import time
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler

import pytest
from helpers.places import SAMPLES
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


@dataclass(frozen=True)
class Download:
    """A file of a row that is not shipped: an image, or its true mask."""

    name: str
    ground_truth: bool
    source: dict  # url, sha256 and bytes


def downloads_of(rows) -> list[Download]:
    """List the files of rows that are not shipped."""
    downloads = []
    for row in rows:
        for ground_truth, source in ((False, row), (True, row.get("ground_truth", {}))):
            if "url" in source:
                downloads.append(Download(row["name"], ground_truth, source))
    return downloads


class Folder(SimpleHTTPRequestHandler):
    """Serves a folder, and keeps what it was asked for."""

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
    """Let no address answer; gives the list of those that were asked."""
    import requests

    asked = []

    def get(url, **_):
        asked.append(url)
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(requests, "get", get)
    return asked


def moved(source, address):
    """The source as if its file came from that address, and held its own name."""
    if "url" not in source:
        return source
    name = source["url"].replace("/", "_")[-60:]
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    return source | {"url": f"{address}/{name}", "sha256": sha256}


def serve_rows_from(monkeypatch, address, rows):
    """Let the table hold these rows alone, as if their files came from that address."""
    table = {}
    for row in rows:
        table[row["name"]] = moved(row, address)
        if "ground_truth" in row:
            table[row["name"]] |= {"ground_truth": moved(row["ground_truth"], address)}
    monkeypatch.setattr(samples, "table", lambda: table)
    return table


def write_served_file(folder, source):
    """Write the file that a moved source promises."""
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


def test_names_are_unique():
    assert len({row["name"] for row in ROWS}) == len(ROWS) == len(samples.table())


def test_names_in_the_cache_are_unique():
    sources = [download.source for download in downloads_of(ROWS)]
    paths = {cached_path(source["url"], source["sha256"]) for source in sources}
    assert len(paths) == len(sources)


@pytest.mark.parametrize("row", SHIPPED, ids=lambda row: row["name"])
def test_a_shipped_sample_is_readable_and_its_licence_told(row, offline):
    image = read_image(sample(row["name"]))
    assert image.pixels.std() > 0
    assert min(image.spatial_shape) > 20
    assert f"`{row['file']}`" in (samples.FOLDER / "LICENSES.md").read_text("utf-8")
    assert not offline


def test_nothing_is_shipped_that_no_row_speaks_of():
    files = {path.name for path in samples.FOLDER.iterdir()} - {"LICENSES.md", "samples.json"}
    images = {row["file"] for row in SHIPPED}
    masks = {row["ground_truth"]["file"] for row in SHIPPED if "ground_truth" in row}
    assert files == images | masks


@pytest.mark.parametrize(
    "row", [row for row in SHIPPED if "ground_truth" in row], ids=lambda row: row["name"]
)
def test_a_shipped_true_mask_fits_its_image(row, offline):
    image = read_image(sample(row["name"]))
    truth = read_image(sample(row["name"], ground_truth=True))
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
        table = serve_rows_from(monkeypatch, address, ROWS)
        downloads = downloads_of(table.values())
        for file in downloads:
            write_served_file(tmp_path, file.source)
            path = sample(file.name, ground_truth=file.ground_truth, progress=False)
            assert path == cached_path(file.source["url"], file.source["sha256"])
            assert path.parent == cache
            assert hashlib.sha256(path.read_bytes()).hexdigest() == file.source["sha256"]
        assert len(server.seen) == len(downloads) == len(downloads_of(ROWS))

        assert samples_at_hand() == list(table)
        assert len(server.seen) == len(downloads), "what is in the cache is not fetched again"


def test_samples_at_hand_fetches_what_it_can(monkeypatch, tmp_path):
    with serve(partial(Folder, directory=tmp_path)) as (address, server):
        table = serve_rows_from(monkeypatch, address, ROWS)
        gone, *there = [row for row in table.values() if "url" in row]
        for row in there:
            write_served_file(tmp_path, row)

        expected = [name for name in table if name != gone["name"]]
        assert samples_at_hand() == expected
        assert samples_at_hand() == expected
        # The missing one was asked for once, and hides no other.
        assert len(server.seen) == 1 + len(there)


def test_samples_at_hand_of_one_card(offline):
    expected = [row["name"] for row in SHIPPED if row["card"] == "nuclei"]
    assert len(expected) > 1
    assert samples_at_hand("nuclei") == expected


def test_wrong_bytes_are_not_at_hand(monkeypatch, tmp_path, cache):
    with serve(partial(Folder, directory=tmp_path)) as (address, _):
        table = serve_rows_from(monkeypatch, address, ONLINE[:1])
        row = table[ONLINE[0]["name"]]
        write_served_file(tmp_path, row)
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
    serve_rows_from(monkeypatch, closed_port(), ROWS)
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
    not SAMPLES.is_dir(),
    reason="needs ../shared/samples: the files that a user's computer downloads",
)
def test_with_every_file_in_the_cache_all_samples_are_at_hand(offline, cache):
    files = [path for path in SAMPLES.rglob("*") if path.is_file()]
    by_sha256 = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in files}
    downloads = downloads_of(ROWS)
    cache.mkdir()
    for file in downloads:
        target = cached_path(file.source["url"], file.source["sha256"])
        shutil.copyfile(by_sha256[file.source["sha256"]], target)
    assert samples_at_hand() == [row["name"] for row in ROWS]

    shapes = {}
    for file in downloads:
        path = sample(file.name, ground_truth=file.ground_truth)
        assert path.stat().st_size == file.source["bytes"]
        shapes[file.name, file.ground_truth] = read_image(path).spatial_shape
    for file in downloads:
        assert shapes[file.name, file.ground_truth] == shapes[file.name, False]
    assert not offline
