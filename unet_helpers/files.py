"""Write files without leaving incomplete ones, and suggest names for a missing file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .spelling import most_similar, question


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; without an error it is renamed to ``path`` at the end.

    After an error it is deleted, and an earlier file ``path`` stays as it was.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def did_you_mean(path: str | Path) -> str:
    """Write the end of a sentence about a missing file: the most similar name, or advice."""
    near = nearest_beside(Path(path))
    if near is None:
        return ". Check the spelling and the folder"
    return f".{question(near)}"


def nearest_beside(path: Path) -> str | None:
    """Return the most similar name in the folder of a missing file; None if none is similar."""
    if not path.parent.is_dir():
        return None
    names = [neighbour.name for neighbour in path.parent.iterdir()]
    return most_similar(path.name, names)
