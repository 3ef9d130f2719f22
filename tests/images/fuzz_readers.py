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

# The first byte of the fuzzer's data picks one. Only pairs of files are found by their names, and
# the other endings must not matter.
ENDINGS = [".png", ".nii", ".nii.gz", ".img", ".dcm", ".nrrd", ".mha", ".mgh"]

# Folders and files that are read only together with others.
NO_FILE_OF_ITS_OWN = ("scan", "a.hdr", "a.img")

# Of libFuzzer; those of the command line come after them, and win.
OPTIONS = ["-max_len=40000", "-rss_limit_mb=4096", "-timeout=20"]


def fill(corpus: Path) -> None:
    """Write one small valid file of each format, after a byte that picks the name's ending."""
    from helpers.files import FILES

    corpus.mkdir(parents=True, exist_ok=True)
    cases = [case for case in FILES if case.name not in NO_FILE_OF_ITS_OWN]
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases):
            path = Path(folder) / case.name
            case.write(path)
            first_byte = bytes([number % len(ENDINGS)])
            (corpus / f"seed{number}").write_bytes(first_byte + path.read_bytes())


def read(data: bytes, folder: Path) -> None:
    """Read a file of these bytes; any error but the package's own is a crash."""
    if len(data) < 2:
        return

    path = folder / f"fuzz{ENDINGS[data[0] % len(ENDINGS)]}"
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


def main() -> None:
    corpus = Path(sys.argv[1])
    fill(corpus)
    warnings.simplefilter("ignore")
    logging.disable()

    with tempfile.TemporaryDirectory() as folder:

        def read_in_folder(data: bytes) -> None:
            read(data, Path(folder))

        arguments = [sys.argv[0], str(corpus), *OPTIONS, *sys.argv[2:]]
        atheris.Setup(arguments, read_in_folder)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
