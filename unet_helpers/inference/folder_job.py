"""The work of ``segment_folder`` for one image, wherever it is done, and its row of the summary."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from ..errors import ModelError
from ..networks.cards import ModelCard
from ..networks.load import load_model, sha256_of
from ..networks.unet import UNet
from ..results.save import save
from .sources import Source

Status = Literal["saved", "done before", "failed", "left out", "not done"]

# The columns with which each row begins, and by which a summary of this program is known.
FIRST_COLUMNS = ("input", "series", "status")

# Between several texts in one cell.
SEPARATOR = " | "


@dataclass(frozen=True, eq=False)
class Row:
    """What the summary says of one image."""

    source: Source
    status: Status
    error: str = ""
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def texts(self, name: str) -> str:
        """Join the 'notes', 'warnings' or 'explanation' of the manifest."""
        return SEPARATOR.join(text for text in self.manifest.get(name, ()) if text)

    def columns(self) -> dict[str, Any]:
        """Give the row by the names of its columns."""
        series = self.source.options.get("series", "")
        row = dict(zip(FIRST_COLUMNS, (str(self.source.image), series, self.status), strict=True))
        for name, (value, unit) in self.manifest.get("summary", {}).items():
            column = name
            if unit:
                column = f"{name} ({unit})"
            row[column] = value

        for name in ("notes", "warnings", "explanation"):
            row[name] = self.texts(name)
        row["error"] = self.error
        row["result"] = str(self.source.result)
        return row


@dataclass(frozen=True, eq=False)
class FolderJob:
    """What is asked of every image of a folder; sent to each worker."""

    # A network, or a name or file from which each worker loads it once.
    model: str | Path | ModelCard | UNet

    # Of ``segment``.
    options: Mapping[str, Any]

    # The weights and options as the manifest holds them.
    asked: Mapping[str, Any]

    # Whether earlier results are replaced.
    overwrite: bool

    # Called with each note and warning before the network runs.
    tell: Callable[[str], object] | None = None

    def run(self, source: Source) -> Row:
        """Segment an image and save the result; nothing is done where there is one already."""
        # There may also be one of a worker that was lost before it could say so.
        if not self.overwrite:
            row = earlier_row(source, self.asked)
            if row is not None:
                return row

        network = load_once(self.model, self.asked["weights"])
        result = source.segmented(network, progress=False, tell=self.tell, **self.options)
        record = {"asked": self.asked}
        save(result, source.result.parent, overwrite=True, record=record)
        return Row(source, "saved", manifest=read_manifest(source.result))


@lru_cache(1)
def load_once(model: str | Path | ModelCard | UNet, weights: str) -> UNet:
    """Load the network, once in each process.

    ``weights``: their sha256 where the work was sent from. Raises ModelError where they are others
    here.
    """
    network = load_model(model)
    if network.weights_sha256 not in ("", weights):
        raise ModelError(
            f"{model}: not the weights with which the work was sent. Use the same file everywhere."
        )
    return network


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest; empty where it is cut off, or another program's."""
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError):
        return {}


def earlier_row(source: Source, asked: Mapping[str, Any]) -> Row | None:
    """Give the row of an image that has a result; None where it has none.

    A result that was made otherwise, or from another file, is refused. Files without a manifest,
    which is written last, are those of a save that was broken off, and may be replaced.
    """
    if not source.result.exists():
        return None

    manifest = read_manifest(source.result)
    if manifest.get("asked") == asked and is_made_from(source.image, manifest):
        return Row(source, "done before", manifest=manifest)

    error = (
        f"{source.image}: {source.result.parent} already holds {source.result.name}, made from "
        "another file or with other settings: --overwrite (overwrite=True) replaces it."
    )
    return Row(source, "failed", error=error)


def is_made_from(image: Path, manifest: Mapping[str, Any]) -> bool:
    """Tell whether a manifest is of this file; folders are known by their name alone."""
    return image.is_dir() or sha256_of(image) == manifest.get("input_sha256")
