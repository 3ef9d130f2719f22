"""What a page needs of npm's packages: fetched once, verified by hash, kept in the cache."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

from ..download import cached_path, fetch
from ..errors import DownloadError

REGISTRY = "https://registry.npmjs.org"


@dataclass(frozen=True)
class Package:
    """A package of npm's registry, of which a page uses some files."""

    name: str
    version: str
    sha256: str  # of its archive
    licence: str
    files: tuple[str, ...]

    @property
    def url(self) -> str:
        """The address of its archive."""
        file = self.name.split("/")[-1]  # without the scope: '@cornerstonejs/codec-openjpeg'
        return f"{REGISTRY}/{self.name}/-/{file}-{self.version}.tgz"

    @property
    def is_cached(self) -> bool:
        """Whether it was fetched before."""
        return cached_path(self.url, self.sha256).is_file()

    def read(self, progress: bool = True) -> dict[str, bytes]:
        """Return its files by name; DownloadError if they cannot be had."""
        return files_of(fetch(self.url, self.sha256, progress=progress), self.files)


# ONNX Runtime with WebAssembly and WebGPU. Of its variants, the one for browsers with JSPI is
# smaller than the one without; a page does without JSPI where there is none (see worker.js).
RUNTIME = Package(
    name="onnxruntime-web",
    version="1.30.0",
    sha256="d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
    licence="MIT",
    files=("dist/ort.jspi.bundle.min.mjs", "dist/ort-wasm-simd-threaded.jspi.wasm"),
)

# Readers of TIFF and of PNG with 16 bits (both unpack with pako), DICOM and NIfTI.
PAKO = Package(
    name="pako",
    version="2.1.0",
    sha256="49fedc8866b4abfc8e71dc7fe75ad4ef1ff1ac9601b0642cff88ee5bf2338709",
    licence="MIT and Zlib",
    files=("dist/pako_inflate.min.js",),
)
TIFF = Package(
    name="utif2",
    version="4.1.0",
    sha256="4156ccd1164f1418af3632b40f0e7992d47a9a622956e85b00b8c605065e8e35",
    licence="MIT",
    files=("UTIF.js",),
)
PNG = Package(
    name="upng-js",
    version="2.1.0",
    sha256="f9aba5cb21db38a737c5ca21ce4274432b24f365bf1eab0375bd41871c1aeffc",
    licence="MIT",
    files=("UPNG.js",),
)
DICOM = Package(
    name="dicom-parser",
    version="1.8.21",
    sha256="8d4656b35d15174bc549b69a42d78cde60c0b73fcc72bf80c47ffcacd9bd4ca9",
    licence="MIT",
    files=("dist/dicomParser.min.js",),
)
# Decoders of compressed DICOM: lossless JPEG, and OpenJPEG for JPEG 2000.
LOSSLESS_JPEG = Package(
    name="jpeg-lossless-decoder-js",
    version="2.1.2",
    sha256="5ef03afb9d0b6fce21c534a345024a7285cc4661a84d2ac6a72d0ebb89a36303",
    licence="MIT",
    files=("release/lossless-min.js",),
)
JPEG_2000 = Package(
    name="@cornerstonejs/codec-openjpeg",
    version="1.3.6",
    sha256="e81b0597fbd58d4b3b55b2f06dbca58b83d82b644ac799871324de7da46ce04b",
    licence="MIT; OpenJPEG: BSD-2-Clause",
    files=("dist/openjpegwasm_decode.js", "dist/openjpegwasm_decode.wasm"),
)

# The last version that a script can load in a browser: later ones need a bundler.
NIFTI = Package(
    name="nifti-reader-js",
    version="0.5.4",
    sha256="c387030645c63c846efe82b870e1a4bcd511cec74693e1f60b643ea9af3d4664",
    licence="MIT",
    files=("release/current/nifti-reader-min.js",),
)
PACKAGES = (RUNTIME, PAKO, TIFF, PNG, DICOM, LOSSLESS_JPEG, JPEG_2000, NIFTI)


def files_of(archive: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Read files of a package's archive; DownloadError if one is missing."""
    wanted = {f"package/{name}": name for name in names}
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name in wanted:
                content = tar.extractfile(member)
                assert content is not None
                found[wanted[member.name]] = content.read()
            if len(found) == len(names):
                return found
    missing = sorted(set(names) - set(found))
    raise DownloadError(f"{archive} has no {', '.join(missing)}: it is another package.")
