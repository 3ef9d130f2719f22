"""The work of ``segment_folder`` for one image, here or on a worker, and its summary row."""

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

# The first columns of each row. A summary file that begins with them is this program's.
FIRST_COLUMNS = ("input", "series", "status")

# Separates several texts in one cell.
SEPARATOR = " | "


@dataclass(frozen=True, eq=False)
class Row:
    """One image's row of the summary."""

    source: Source
    status: Status
    error: str = ""
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def texts(self, name: str) -> str:
        """Return the 'notes', 'warnings' or 'explanation' of the manifest, joined."""
        return SEPARATOR.join(text for text in self.manifest.get(name, ()) if text)

    def columns(self) -> dict[str, Any]:
        """Return the values of the row, by the names of its columns."""
        series = self.source.options.get("series", "")
        row = dict(zip(FIRST_COLUMNS, (str(self.source.image), series, self.status), strict=True))
        for name, (value, unit) in self.manifest.get("summary", {}).items():
            column = name
            if unit:
                column = f"{name} ({unit})"
            row[column] = value

        row["assessment"] = self.manifest.get("assessment", "")
        for name in ("notes", "warnings", "explanation"):
            row[name] = self.texts(name)
        row["error"] = self.error
        row["result"] = str(self.source.result)
        return row


@dataclass(frozen=True, eq=False)
class FolderJob:
    """The work for each image of a folder; it is sent to each worker."""

    # A network, or a name or file from which each worker loads it once.
    model: str | Path | ModelCard | UNet

    # Options of ``segment``.
    options: Mapping[str, Any]

    # The weights and options as the manifest holds them.
    asked: Mapping[str, Any]

    # Whether earlier results are replaced.
    overwrite: bool

    # Called with each note and warning before the network runs.
    tell: Callable[[str], object] | None = None

    def run(self, source: Source) -> Row:
        """Segment an image and save the result, unless there is one already."""
        # The result may also be that of a worker that was lost before it returned its row.
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

    ``weights`` is the sha256 of the sender's weights. Raises ModelError if those loaded here
    differ.
    """
    network = load_model(model)
    if network.weights_sha256 not in ("", weights):
        raise ModelError(
            f"{model}: not the weights with which the work was sent. Use the same file everywhere."
        )
    return network


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a manifest; empty if the file is truncated or another program's."""
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError):
        return {}


def earlier_row(source: Source, asked: Mapping[str, Any]) -> Row | None:
    """Return the row of an image that already has a result; None if it has none.

    The row says 'failed' if the result was made with other settings or from another file. The
    manifest is written last: files without one are left from an interrupted save and may be
    replaced.
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
    """Return whether the result was made from this file; folders are not compared."""
    return image.is_dir() or sha256_of(image) == manifest.get("input_sha256")
