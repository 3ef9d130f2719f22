"""The runtime of a page comes from an address, is verified, and is kept."""

import hashlib
import io
import tarfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler

import pytest
from helpers.servers import closed_port, serve

import unet_helpers as uh
from unet_helpers import download
from unet_helpers.web import runtime
from unet_helpers.web.runtime import PACKAGES, Package


def archive(files: dict[str, bytes]) -> bytes:
    """A package as npm's registry has them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = archive({"README.md": b"read me", "dist/a.js": b"let a;"})
TINY = Package(
    name="tiny",
    version="1.0.0",
    sha256=hashlib.sha256(ARCHIVE).hexdigest(),
    licence="MIT",
    files=("dist/a.js",),
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_HELPERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0)


def test_a_package_is_fetched_once_and_kept(tmp_path, monkeypatch):
    folder = tmp_path / "registry/tiny/-"
    folder.mkdir(parents=True)
    (folder / "tiny-1.0.0.tgz").write_bytes(ARCHIVE)
    assert not TINY.is_cached
    with serve(partial(Quiet, directory=str(tmp_path / "registry"))) as (address, _):
        monkeypatch.setattr(runtime, "REGISTRY", address)
        assert TINY.read(progress=False) == {"dist/a.js": b"let a;"}
        assert TINY.is_cached
    assert TINY.read(progress=False) == {"dist/a.js": b"let a;"}


def test_without_a_network_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setattr(runtime, "REGISTRY", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(uh.DownloadError, match="Without a network: get the file from"):
        TINY.read(progress=False)


def test_a_package_without_the_file_is_refused(tmp_path):
    path = tmp_path / "tiny.tgz"
    path.write_bytes(ARCHIVE)
    with pytest.raises(uh.DownloadError, match=r"has no dist/b\.js"):
        runtime.files_of(path, ("dist/b.js",))


def test_packages_have_whole_hashes_and_public_addresses():
    for package in PACKAGES:
        assert len(package.sha256) == 64
        assert package.url.startswith("https://registry.npmjs.org/")
        assert package.licence
    assert replace(TINY, version="2.0.0").url.endswith("/tiny-2.0.0.tgz")
    assert replace(TINY, name="@of/tiny").url.endswith("/@of/tiny/-/tiny-1.0.0.tgz")
