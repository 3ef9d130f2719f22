"""Where results are written: paths with ``~``, nothing overwritten unasked, all files or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import SaveError


def output_path(path: str | Path) -> Path:
    """Return a path that a person typed, with ``~`` as their home."""
    return Path(path).expanduser()


def refuse_existing(path: Path) -> None:
    """Raise SaveError where there is a file or folder of that name."""
    if path.exists():
        raise SaveError(f"{path} exists already: pass overwrite=True or another name.")


@contextmanager
def made_aside(target: Path, folder: Path, overwrite: bool) -> Iterator[Path]:
    """Give a folder to write to, whose files move to ``folder`` when the block ends well.

    A manifest (.json) moves last, so that a folder that has it has all. Raises SaveError where
    ``target`` exists and ``overwrite`` is False, before the block begins, and where the files
    cannot be written.
    """
    if not overwrite:
        refuse_existing(target)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".saving-") as aside:
            yield Path(aside)
            for file in manifest_last(Path(aside)):
                file.replace(folder / file.name)
    except OSError as error:
        raise SaveError(
            f"{target}: nothing was saved ({error}). Is the disk full or protected?"
        ) from error
    except ModuleNotFoundError as error:
        raise SaveError(
            f"{target}: this format needs one more package: pip install {error.name}"
        ) from error


def manifest_last(folder: Path) -> list[Path]:
    """Return the files in a folder by name, with manifests behind all others."""
    files = sorted(folder.iterdir())
    manifests = [file for file in files if file.suffix == ".json"]
    others = [file for file in files if file.suffix != ".json"]
    return others + manifests
