"""Knows an earlier result of ``segment_large``, so that the same answer is not made again."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import SaveError
from ..images.image import MedicalImage
from ..results.request import difference, read_manifest

# Bytes of a file that are read at once, to compare it with that of an earlier result.
PIECE = 2**24


def earlier_table(
    stem: Path, asked: Mapping[str, Any], stored: MedicalImage
) -> pd.DataFrame | None:
    """Read the table of an earlier result with the same settings; None if there is no result.

    ``stem`` is the path of the result's files without their endings. Raises SaveError if the result
    was made with other settings or from another file.
    """
    manifest = stem.with_name(f"{stem.name}.json")
    if not manifest.exists():
        return None
    how = difference(read_manifest(manifest), asked, sha256_of_input(stored))
    table = stem.with_name(f"{stem.name}_measurements.csv")
    if not how and table.exists():
        return pd.read_csv(table)
    raise SaveError(
        f"{manifest.parent} already holds {manifest.name}, made {how or 'without its table'}: "
        "overwrite=True replaces it."
    )


def sha256_of_input(stored: MedicalImage) -> str | None:
    """Return the SHA-256 of a file, which may be larger than memory; None for a store's folder."""
    path = stored.path
    if path is None or path.is_dir():
        return None
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
