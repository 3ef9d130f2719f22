"""``fetch`` against a server that misbehaves in every way we know of.

After each test the cache holds no bad file.
"""

import ast
import fcntl
import gzip
import hashlib
import logging
import multiprocessing
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pooch
import pytest
from helpers.servers import closed_port, serve

from unet_helpers import DownloadError, download
from unet_helpers.download import Unreachable, cached_path, fetch, home_url

BODY = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
HALF = 150_000

# A forked child inherits shortened pauses, and need not load torch.
processes = multiprocessing.get_context("fork")


class Misbehaving(BaseHTTPRequestHandler):
    """The first word of the path says how.

    ``server.seen`` keeps (path, Range, bytes sent) of each request.
    """

    def do_GET(self):
        self.wanted, self.sent = self.headers["Range"], 0
        self.earlier = sum(path == self.path for path, _, _ in self.server.seen)
        self.mine = len(self.server.seen)
        self.server.seen.append((self.path, self.wanted, 0))
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, "do_" + self.path.split("/")[1])()

    def log_message(self, *_):
        pass

    def head(self, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def send(self, data):
        for start in range(0, len(data), 10_000):
            self.sent += len(data[start : start + 10_000])
            # Noted before the client has it all.
            self.server.seen[self.mine] = (self.path, self.wanted, self.sent)
            self.wfile.write(data[start : start + 10_000])

    def do_good(self, body=BODY, limit=None):
        """Whole, or from where it is asked to; the connection breaks after ``limit`` bytes."""
        start = int(re.fullmatch(r"bytes=(\d+)-", self.wanted)[1]) if self.wanted else 0
        if start >= len(body):
            return self.head(416, Content_Range=f"bytes */{len(body)}")
        span = (
            {"Content_Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if self.wanted else {}
        )
        self.head(206 if self.wanted else 200, Content_Length=len(body) - start, **span)
        self.send(body[start:][:limit])

    def do_cut(self):
        self.do_good(limit=None if self.earlier else HALF)

    def do_crawl(self):
        self.do_good(limit=60_000)

    def do_noRange(self):
        self.head(Content_Length=len(BODY))
        self.send(BODY if self.earlier else BODY[:HALF])

    def do_wrong(self):
        self.do_good(BODY[::-1])

    def do_wrongOnce(self):
        self.do_good(BODY if self.earlier else BODY[::-1])

    def do_missing(self):
        self.send_error(404)

    def do_nothing(self):
        self.head(204)

    def do_failing(self):
        self.send_error(503)

    def do_failingOnce(self):
        self.do_good() if self.earlier else self.send_error(500)

    def do_busyOnce(self):
        self.do_good() if self.earlier else self.send_error(429)

    def do_hangUp(self):
        self.close_connection = True

    def do_mute(self):
        self.server.over.wait(20)

    def do_stall(self):
        self.do_good(limit=HALF)
        self.server.over.wait(20)

    def do_stallOnce(self):
        self.do_good() if self.earlier else self.do_stall()

    def do_slow(self):
        time.sleep(0.3)
        self.do_good()

    def do_circle(self):
        self.head(302, Location=self.path)

    def do_elsewhere(self):
        self.head(302, Location="/good/file.bin")

    def do_inside(self):
        self.head(302, Location="file:///etc/passwd")

    def do_endless(self):
        self.head()
        while not self.server.over.is_set():
            self.send(BODY)

    def do_huge(self):
        self.head(Content_Length=10**15)

    def do_promisesMore(self):
        self.head(Content_Length=len(BODY) + 5000)
        self.send(BODY)

    def do_promisesLess(self):
        self.head(Content_Length=len(BODY) - 5000)
        self.send(BODY)

    def do_promisesNonsense(self):
        self.head(Content_Length="a lot")
        self.send(BODY)

    def do_noLength(self):
        self.head()
        self.send(BODY)

    def do_packed(self):
        data = gzip.compress(BODY)
        self.head(Content_Length=len(data), Content_Encoding="gzip")
        self.send(data)

    def do_noise(self):
        self.wfile.write(b"\0\xff" * 500 + b"\r\n\r\n")

    def do_never416(self):
        self.head(416) if self.wanted else self.do_good()


@pytest.fixture
def server():
    with serve(Misbehaving) as (address, server):
        server.address = address
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The cache, in which there must be no bad file afterwards."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("UNET_HELPERS_CACHE", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(download, "CONNECT_SECONDS", 2)
    monkeypatch.setattr(download, "READ_SECONDS", 3)
    yield folder
    assert_clean(folder)


def assert_clean(folder):
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name.startswith("."):
            assert path.name.endswith((".part", ".lock")), path
        else:
            assert re.match("[0-9a-f]{8}-", path.name), f"{path} was left behind"
            assert path.read_bytes() == BODY


def part_of(target):
    return target.with_name(f".{target.name}.part")


def get(server, how, sha256=SHA256, **options):
    return fetch(f"{server.address}/{how}/file.bin", sha256, progress=False, **options)


def ranges(server):
    return [wanted for _, wanted, _ in server.seen]


# what goes well


def test_fetched_once_kept_under_its_name_and_not_asked_for_again(server, folder):
    path = get(server, "good")
    assert (
        path
        == folder / f"{SHA256[:8]}-file.bin"
        == cached_path(f"{server.address}/good/file.bin", SHA256)
    )
    assert path.read_bytes() == BODY
    assert get(server, "good") == path
    assert len(server.seen) == 1
    assert not part_of(path).exists()


@pytest.mark.parametrize("sha256", [SHA256[:8], SHA256[:20], SHA256.upper(), ""])
def test_with_part_of_the_hash_or_none(server, sha256):
    assert get(server, "good", sha256).read_bytes() == BODY
    assert get(server, "good", sha256).read_bytes() == BODY
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "how", ["elsewhere", "failingOnce", "busyOnce", "noLength", "packed", "promisesNonsense"]
)
@pytest.mark.parametrize("sha256", [SHA256, ""])
def test_what_a_server_may_do(server, how, sha256):
    assert get(server, how, sha256).read_bytes() == BODY


def test_a_file_put_there_by_hand_counts(folder):
    url = "http://127.0.0.1:9/file.bin"
    target = cached_path(url, SHA256)
    target.parent.mkdir()
    target.write_bytes(BODY)
    assert fetch(url, SHA256) == target


def test_a_name_of_ones_own_and_a_bar(server, folder, capfd):
    path = fetch(f"{server.address}/good/file.bin?version=2", SHA256, name="mine.bin")
    assert path == folder / f"{SHA256[:8]}-mine.bin"
    err = capfd.readouterr().err
    assert "file.bin" in err
    assert "100%" in err
    assert "SHA256" not in err


def test_quiet_where_asked(server, capfd, monkeypatch):
    logger = pooch.get_logger()
    monkeypatch.setattr(
        logger, "handlers", [logging.StreamHandler()]
    )  # its own one writes where nobody looks
    logger.setLevel("INFO")
    get(server, "good", "")
    assert capfd.readouterr() == ("", "")


def test_places(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "HOME", "someone/name")
    assert home_url("a/b.png") == download.HOME_URL + "a/b.png"
    monkeypatch.setattr(download, "HOME", "OWNER/name")
    with pytest.raises(DownloadError, match=r"does not know where it is published.*set_home"):
        home_url("a/b.png")
    monkeypatch.setenv("UNET_HELPERS_HOME", "http://localhost:8000")
    assert home_url("a/b.png") == "http://localhost:8000/a/b.png"
    monkeypatch.setenv("UNET_HELPERS_CACHE", "~/somewhere")
    assert (
        cached_path("http://h/a%20b.png", "0123456789").as_posix()
        == f"{Path.home()}/somewhere/01234567-a b.png"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNET_HELPERS_CACHE", "near")
    assert cached_path("http://h/x.png", "0123456789") == tmp_path / "near/01234567-x.png"
    assert cached_path("http://h/x.png?a").name != cached_path("http://h/x.png?b").name
    assert cached_path("http://h/", "0123456789").name == "01234567-file"
    assert cached_path("http://h/%2e%2e%2f%2e%2e%2fx", "0123456789").parent == tmp_path / "near"
    monkeypatch.delenv("UNET_HELPERS_CACHE")
    assert "unet_helpers" in str(cached_path("http://h/x.png").parent)


def test_downloaders_are_not_loaded_before_they_are_needed():
    for path in Path(download.__file__).parent.rglob("*.py"):
        at_once = [
            node
            for node in ast.parse(path.read_text("utf-8")).body
            if "import" in type(node).__name__.lower()
        ]
        assert not re.search("pooch|requests|filelock", " ".join(map(ast.unparse, at_once))), path


# connections that break


def test_a_cut_connection_is_taken_up_where_it_broke(server):
    assert get(server, "cut").read_bytes() == BODY
    (_, first, sent), (_, second, rest) = server.seen
    assert first is None
    assert sent == HALF
    start = int(second.removeprefix("bytes=").rstrip("-"))
    assert HALF - download.CHUNK_BYTES <= start <= HALF
    assert rest == len(BODY) - start


def test_cut_at_every_try_the_next_call_goes_on(server, monkeypatch):
    monkeypatch.setattr(download, "TRIES", 2)
    with pytest.raises(DownloadError, match="broken"):
        get(server, "crawl")
    part = part_of(cached_path(f"{server.address}/crawl/file.bin", SHA256))
    held = part.stat().st_size
    assert 60_000 < held <= 120_000
    assert BODY.startswith(part.read_bytes())
    monkeypatch.setattr(download, "TRIES", 20)
    assert get(server, "crawl").read_bytes() == BODY
    assert ranges(server)[2] == f"bytes={held}-"
    assert not part.exists()


def test_another_address_goes_on_with_the_same_content(server, monkeypatch):
    monkeypatch.setattr(download, "TRIES", 1)
    assert get(server, "crawl", mirrors=(f"{server.address}/good/other.bin",)).read_bytes() == BODY
    assert server.seen[1][1]
    assert server.seen[1][2] < len(BODY)


def test_a_part_of_other_content_is_not_taken(server, folder):
    folder.mkdir()
    part = part_of(folder / f"{'0' * 8}-file.bin")
    part.write_bytes(BODY[:1000])
    get(server, "good")
    assert ranges(server) == [None]
    assert part.exists()


def test_without_a_hash_pieces_are_never_put_together(server):
    assert get(server, "cut", "").read_bytes() == BODY
    assert ranges(server) == [None, None]


@pytest.mark.parametrize("part", [b"x" * 1000, b"x" * len(BODY), b"x" * 400_000])
def test_a_part_that_does_not_fit_is_thrown_away_once(server, folder, part):
    folder.mkdir()
    part_of(folder / f"{SHA256[:8]}-file.bin").write_bytes(part)
    assert get(server, "good").read_bytes() == BODY
    assert ranges(server) == [f"bytes={len(part)}-", None]


@pytest.mark.parametrize("how", ["good", "never416", "mute", "failing"])
def test_a_part_that_is_whole_needs_no_more_bytes(server, folder, monkeypatch, how):
    monkeypatch.setattr(download, "READ_SECONDS", 0.2)
    folder.mkdir()
    part_of(folder / f"{SHA256[:8]}-file.bin").write_bytes(BODY)
    assert get(server, how).read_bytes() == BODY
    assert len(server.seen) == 1
    assert server.seen[0][2] == 0


def test_416_to_a_part_that_is_right_but_not_whole(server, folder):
    folder.mkdir()
    part_of(folder / f"{SHA256[:8]}-file.bin").write_bytes(BODY[:1000])
    assert get(server, "never416").read_bytes() == BODY
    assert ranges(server) == ["bytes=1000-", None]


def test_a_server_that_ignores_ranges_starts_anew(server):
    assert get(server, "noRange").read_bytes() == BODY
    assert len(server.seen) == 2
    assert ranges(server)[1]
    assert server.seen[1][2] == len(BODY)


def test_a_killed_process_leaves_a_part_to_go_on_from(server, folder, monkeypatch):
    monkeypatch.setattr(download, "READ_SECONDS", 20)
    child = processes.Process(target=get, args=(server, "stallOnce"))
    child.start()
    target = cached_path(f"{server.address}/stallOnce/file.bin", SHA256)
    part, deadline = part_of(target), time.monotonic() + 10
    while (
        not (part.exists() and part.stat().st_size > HALF - download.CHUNK_BYTES)
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    held = part.stat().st_size
    assert not target.exists()
    assert 0 < held <= HALF
    assert_clean(folder)
    assert get(server, "stallOnce").read_bytes() == BODY
    assert ranges(server) == [None, f"bytes={held}-"]
    assert not part.exists()


def test_an_interrupt_is_passed_on(server, monkeypatch, folder):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(
            download, "has_hash", lambda path, sha256: path.name.endswith(".part") and interrupted()
        )
        with pytest.raises(KeyboardInterrupt):
            get(server, "good")
    assert_clean(folder)
    assert get(server, "good").read_bytes() == BODY  # the lock is free again


# servers that fail


@pytest.mark.parametrize(
    ("how", "words", "requests"),
    [
        ("wrong", "not the one expected", 2),
        ("promisesLess", "not the one expected", 2),
        ("promisesMore", "broken", 3),
        ("missing", "404", 1),
        ("nothing", "204", 1),
        ("failing", "503", 3),
        ("hangUp", "broken", 3),
        ("noise", "broken", 3),
        ("circle", "redirects", 31),
        ("inside", "file:///etc/passwd", 1),
        ("huge", "1,000,000,000,000,000 bytes", 1),
    ],
)
def test_failures_say_what_happened_and_where_to_put_the_file(server, how, words, requests):
    url = f"{server.address}/{how}/file.bin"
    target = cached_path(url, SHA256)
    with pytest.raises(DownloadError) as failure:
        get(server, how)
    for part in (words, "file.bin", url, str(target.parent), target.name):
        assert part in str(failure.value)
    assert not target.exists()
    assert len(server.seen) == requests


def test_wrong_bytes_once_are_fetched_again(server):
    assert get(server, "wrongOnce").read_bytes() == BODY


def test_a_wrong_prefix_leaves_nothing(server, folder):
    with pytest.raises(DownloadError, match="sha256 differs"):
        get(server, "good", "01234567")
    assert all(
        path.name.startswith(".") and not path.name.endswith(".part") for path in folder.iterdir()
    )


@pytest.mark.parametrize("how", ["stall", "mute"])
def test_a_stall_ends(server, monkeypatch, how):
    monkeypatch.setattr(download, "READ_SECONDS", 0.3)
    monkeypatch.setattr(download, "TRIES", 2)
    start = time.monotonic()
    with pytest.raises(Unreachable, match="no connection, or a broken one"):
        get(server, how)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("sha256", [SHA256, ""])
def test_a_body_without_end_is_stopped(server, monkeypatch, folder, sha256):
    monkeypatch.setattr(download, "MAX_BYTES", 1_000_000)
    with pytest.raises(DownloadError, match="does not stop"):
        get(server, "endless", sha256)
    assert sum(path.stat().st_size for path in folder.iterdir()) == 0


def test_mirrors_in_their_order(server):
    mirrors = tuple(f"{server.address}/{how}/file.bin" for how in ("wrong", "good", "failing"))
    assert get(server, "missing", mirrors=mirrors).read_bytes() == BODY
    assert [path.split("/")[1] for path, _, _ in server.seen] == [
        "missing",
        "wrong",
        "wrong",
        "good",
    ]


def test_mirrors_that_fail_are_all_named(server):
    mirrors = (f"{server.address}/wrong/file.bin", "ftp://127.0.0.1/file.bin", "http://[/file.bin")
    with pytest.raises(DownloadError) as failure:
        get(server, "missing", mirrors=mirrors)
    assert all(
        word in str(failure.value)
        for word in ("404", "sha256 differs", "only http and https", *mirrors)
    )
    assert not isinstance(failure.value, Unreachable)


def test_without_a_network(folder):
    url = f"{closed_port()}/weights/unet.pt"
    with pytest.raises(Unreachable) as failure:
        fetch(url, SHA256)
    for part in (
        "unet.pt",
        url,
        f"folder {folder} ",
        f"name {SHA256[:8]}-unet.pt",
        "no connection",
    ):
        assert part in str(failure.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "http://",
        "http:///x",
        "http://[bad",
        "http://127.0.0.1:99999/x",
        "http://127.0.0.1:x/y",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "data:,x",
        "http://a\0b/",
        "http://127.0.0.1:9/%00",
        "http://127.0.0.1:9/" + "x" * 300,
        "http://.example/x",
        "http://" + "a" * 70 + "/x",
        "http://127.0.0.1:9/\ud800",
    ],
)
@pytest.mark.parametrize("sha256", [SHA256, ""])
def test_addresses_of_nothing(url, sha256):
    with pytest.raises(DownloadError):
        fetch(url, sha256)


# caches that fail


def test_a_damaged_file_is_fetched_anew(server):
    path = get(server, "good")
    path.write_bytes(BODY[:-1])
    assert get(server, "good").read_bytes() == BODY
    path.write_bytes(b"")
    with pytest.raises(DownloadError):
        fetch(f"{closed_port()}/file.bin", SHA256)
    assert not path.exists()


def test_something_else_under_that_name(server, folder):
    (folder / f"{SHA256[:8]}-file.bin").mkdir(parents=True)
    with pytest.raises(DownloadError, match="on this computer"):
        get(server, "good")
    (folder / f"{SHA256[:8]}-file.bin").rmdir()


@contextmanager
def mounted(folder, options):
    """A small disk in memory; skips where that is not allowed."""
    folder.mkdir(parents=True)
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder]).returncode
    ):
        pytest.skip("may not mount")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("how", ["a file in the way", "a disk that is read only"])
def test_a_cache_that_cannot_be_written_is_said_with_the_way_out(
    server, folder, tmp_path, monkeypatch, how
):
    if how == "a file in the way":
        (tmp_path / "file").touch()
        monkeypatch.setenv("UNET_HELPERS_CACHE", str(tmp_path / "file/cache"))
    disk = mounted(folder, "ro") if "disk" in how else nullcontext()
    words = r"on this computer: .*\n.*set UNET_HELPERS_CACHE to a folder that can"
    with disk, pytest.raises(DownloadError, match=words):
        get(server, "good")
    monkeypatch.setenv("UNET_HELPERS_CACHE", str(tmp_path / "elsewhere"))
    assert get(server, "good").read_bytes() == BODY


def test_read_only_disk_that_holds_the_file(server, folder):
    with mounted(folder, "size=1m"):
        path = get(server, "good")
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        assert get(server, "good") == path
        assert len(server.seen) == 1


@pytest.mark.parametrize("filled", [False, True])
def test_a_full_disk(server, folder, filled):
    with mounted(folder, "size=64k"):
        if filled:
            with suppress(OSError), (folder / ".all.part").open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
        with pytest.raises(DownloadError, match="No space left on device") as failure:
            get(server, "good", mirrors=(f"{server.address}/good/file.bin",))
        assert not isinstance(failure.value, Unreachable)
        target = cached_path(f"{server.address}/good/file.bin", SHA256)
        assert not target.exists()
        assert not part_of(target).exists()
        assert_clean(folder)


# many at once


def test_two_processes_fetch_it_once(server):
    answers = processes.Queue()

    def work(sha256):
        answers.put(get(server, "slow", sha256).read_bytes() == BODY)

    children = [
        processes.Process(target=work, args=(sha256,)) for sha256 in (SHA256, SHA256[:8], SHA256)
    ]
    for child in children:
        child.start()
    assert [answers.get(timeout=15) for _ in children] == [True] * 3
    for child in children:
        child.join()
    assert len(server.seen) == 1


def test_threads_fetch_it_once(server):
    with ThreadPoolExecutor(6) as pool:
        paths = list(pool.map(lambda _: get(server, "slow"), range(6)))
    assert len(set(paths)) == 1
    assert len(server.seen) == 1


def test_different_files_do_not_wait_for_each_other(server):
    with ThreadPoolExecutor(4) as pool:
        start = time.monotonic()
        list(pool.map(lambda i: get(server, "slow", name=f"{i}.bin"), range(4)))
    assert len(server.seen) == 4
    assert time.monotonic() - start < 1.1


def test_waiting_for_another_process_ends(server, folder, monkeypatch):
    monkeypatch.setattr(download, "LOCK_SECONDS", 0.2)
    folder.mkdir()
    with (folder / f".{SHA256[:8]}-file.bin.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        part_of(folder / f"{SHA256[:8]}-file.bin").write_bytes(BODY[:1000])
        with pytest.raises(DownloadError, match="lock"):
            get(server, "good")
    assert get(server, "good").read_bytes() == BODY
    assert ranges(server) == ["bytes=1000-"]
