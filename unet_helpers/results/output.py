"""Writing of files: expand ``~``, overwrite only if asked to, write all files or none."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import SaveError

# What follows the name of a result in the names of its files, where no ending does.
KINDS = ("_labels", "_objects", "_overlay", "_measurements", "_mask")

# Bytes of the longest file name on common file systems: ext4, NTFS (characters), APFS.
LONGEST_NAME = 255

# Bytes of a result's name that are kept for endings such as '_measurements.csv', and for the marks
# of files that are being written.
KEPT_FOR_ENDINGS = 40

# Hexadecimal digits of the SHA-256 of a name that was cut off, so that it differs from others.
DIGITS_OF_SUM = 8


def result_name(image: str, card: str) -> str:
    """Return the beginning of the names of a result's files, of names of the image and the card.

    The image's name is shortened where the file system would refuse the whole: its end is then
    replaced by a sum over it.
    """
    name = f"{image}_{card}"
    excess = len(os.fsencode(name)) - (LONGEST_NAME - KEPT_FOR_ENDINGS)
    if excess <= 0:
        return name

    mark = "~" + hashlib.sha256(os.fsencode(image)).hexdigest()[:DIGITS_OF_SUM]
    kept = os.fsencode(image)[: -excess - len(mark)]

    # A character is not cut in two.
    return f"{kept.decode('utf-8', 'ignore')}{mark}_{card}"


def check_writable(folder: Path) -> None:
    """Make a folder, and raise SaveError if nothing can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".saving-"):
            pass
    except OSError as error:
        raise SaveError(
            f"{folder}: nothing can be saved there ({error.strerror or error}). "
            "Choose another folder."
        ) from error


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
                move(file, folder / file.name)
    except OSError as error:
        raise SaveError(
            f"{target}: nothing was saved ({error}). Is the disk full or protected?"
        ) from error
    except ModuleNotFoundError as error:
        raise SaveError(
            f"{target}: this format needs one more package: pip install {error.name}"
        ) from error


def move(made: Path, target: Path) -> None:
    """Move a file, or a folder such as a Zarr store, in place of an earlier one."""
    if target.is_dir() and not target.is_symlink():
        # A folder cannot replace one that is not empty.
        shutil.rmtree(target)
    made.replace(target)


def manifest_last(folder: Path) -> list[Path]:
    """Return the files in a folder, sorted by name, with manifests after all others."""
    files = sorted(folder.iterdir())
    manifests = [file for file in files if file.suffix == ".json"]
    others = [file for file in files if file.suffix != ".json"]
    return others + manifests


def files_of_result(manifest: Path) -> list[Path]:
    """List the files of a result, all of which have the name of its manifest before their endings.

    A file whose name goes on with other letters belongs to another result.
    """
    stem = manifest.with_suffix("").name
    paths = []
    for path in sorted(manifest.parent.iterdir()):
        rest = path.name.removeprefix(stem)
        is_own = rest != path.name and rest.startswith((".", *KINDS))
        if is_own:
            paths.append(path)
    return paths
