"""Writing of files: expand ``~``, overwrite only if asked to, write all files or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import SaveError


def output_path(path: str | Path) -> Path:
    """Return a path with ``~`` replaced by the home folder."""
    return Path(path).expanduser()


def refuse_existing(path: Path) -> None:
    """Raise SaveError if the path exists."""
    if path.exists():
        raise SaveError(f"{path} exists already: pass overwrite=True or another name.")


@contextmanager
def made_aside(target: Path, folder: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary folder; its files move to ``folder`` if the block ends without an error.

    A manifest (.json) moves last: if a folder has it, it has all files. Raises SaveError if
    ``target`` exists and ``overwrite`` is False (before the block begins), or if the files cannot
    be written.
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
    """Return the files in a folder, sorted by name, with manifests after all others."""
    files = sorted(folder.iterdir())
    manifests = [file for file in files if file.suffix == ".json"]
    others = [file for file in files if file.suffix != ".json"]
    return others + manifests
