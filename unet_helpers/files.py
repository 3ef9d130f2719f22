"""Files that are written whole or not at all, and names near one that is not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give the path of a file to write; it takes the name ``path`` when the block ends well."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def did_you_mean(path: str | Path) -> str:
    """End a sentence about a file that is not there: the nearest name, or what to check."""
    path = Path(path)
    names_beside: list[str] = []
    if path.parent.is_dir():
        names_beside = [neighbour.name for neighbour in path.parent.iterdir()]
    near = get_close_matches(path.name, names_beside, n=1)
    if near:
        return f". Did you mean {near[0]}?"
    return ". Check the spelling and the folder"
