"""Files that are written whole or not at all, and names near one that is not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """The path of a file to write beside ``path``; it takes that name when the block ends without an error."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def did_you_mean(path) -> str:
    path = Path(path)
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, beside, 1)
    return f". Did you mean {near[0]}?" if near else ". Check the spelling and the folder"
