"""Coverage-guided fuzzing of ``read_image`` (atheris); not collected by pytest.

    pip install atheris
    python tests/images/fuzz_readers.py CORPUS_DIR -max_total_time=600 [other options of libFuzzer]

Starts from a valid file of every format. A crash is any error but the package's own; libFuzzer
prints it and keeps the file as crash-*.
"""

import importlib
import logging
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

# Imported under instrumentation, so that the fuzzer sees which of their lines a file reaches.
with atheris.instrument_imports(include=["unet_helpers", "PIL", "tifffile", "nibabel"]):
    for name in ("nibabel", "tifffile", "pydicom.pixels", "PIL.Image"):
        importlib.import_module(name)
    importlib.import_module("PIL.Image").init()

    from unet_helpers import UNetHelpersError, read_image
    from unet_helpers.images.stack import from_stack, to_stack

# Only pairs are found by name; the others must not matter.
ENDINGS = [".png", ".nii", ".nii.gz", ".img", ".dcm", ".nrrd", ".mha", ".mgh"]


def fill(corpus: Path) -> None:
    """One small valid file of each format, with the byte before it that picks the name's ending."""
    from helpers.files import FILES

    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for i, case in enumerate(
            case for case in FILES if case.name not in ("scan", "a.hdr", "a.img")
        ):
            case.write(Path(folder) / case.name)
            (corpus / f"seed{i}").write_bytes(
                bytes([i % len(ENDINGS)]) + (Path(folder) / case.name).read_bytes()
            )


def main() -> None:
    corpus = Path(sys.argv[1])
    fill(corpus)
    warnings.simplefilter("ignore")
    logging.disable()
    folder = tempfile.TemporaryDirectory()

    def read(data: bytes) -> None:
        if len(data) < 2:
            return
        path = Path(folder.name) / f"fuzz{ENDINGS[data[0] % len(ENDINGS)]}"
        path.write_bytes(data[1:])
        try:
            image = read_image(path)
        except UNetHelpersError as error:
            message = str(error)
            assert path.stem in message
            return
        finally:
            path.unlink()
        assert image.pixels.size
        assert image.pixels.dtype.kind in "uif"
        assert image.channels in (1, 3)
        stack = to_stack(image).pixels
        answer = stack[None, ..., 0] if image.channels > 1 else stack[None]
        assert from_stack(image, answer)[0].shape == image.spatial_shape

    limits = [
        "-max_len=40000",
        "-rss_limit_mb=4096",
        "-timeout=20",
    ]  # the options given come last and win
    atheris.Setup([sys.argv[0], str(corpus), *limits, *sys.argv[2:]], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
