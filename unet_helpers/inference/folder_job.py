"""The work of ``segment_folder`` for one image, here or on a worker, and its summary row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from inspect import signature
from pathlib import Path
from typing import Any, Literal

from ..checks.suggest import suggest
from ..checks.view import View
from ..errors import ModelError
from ..images.image import noted
from ..images.read import read_image
from ..networks.cards import ModelCard
from ..networks.load import load_model, sha256_of
from ..networks.unet import UNet
from ..results.request import difference, read_manifest, request_record
from ..results.save import save
from ..results.segmentation import Segmentation
from .segment import load_named, segment
from .settings import check_settings
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

        # Without a manifest's ending, the network is not known yet.
        is_known = self.source.result.suffix == ".json"
        row["result"] = str(self.source.result) if is_known else ""
        return row


@dataclass(frozen=True, eq=False)
class FolderJob:
    """The work for each image of a folder; it is sent to each worker."""

    # A network, or a name or file from which each worker loads it once; None: one that fits each
    # image.
    model: str | Path | ModelCard | UNet | None

    # Options of ``segment``.
    options: Mapping[str, Any]

    # What is asked for, as the manifest holds it; None: it depends on the network that fits.
    asked: Mapping[str, Any] | None

    # Whether earlier results are replaced.
    overwrite: bool

    # Called with each note and warning before the network runs.
    tell: Callable[[str], object] | None = None

    # Endings of additional files of each result, as in ``save``.
    formats: tuple[str, ...] = ()

    def run(self, source: Source) -> Row:
        """Segment an image and save the result, unless there is one already."""
        if self.model is None or self.asked is None:
            return self.run_suggested(source)

        # The result may also be that of a worker that was lost before it returned its row.
        row = self.earlier(source, self.asked)
        if row is not None:
            return row
        network = load_once(self.model, self.asked["weights"])
        result = source.segmented(network, progress=False, tell=self.tell, **self.options)
        return saved_row(result, source, self.asked, self.formats)

    def run_suggested(self, source: Source) -> Row:
        """Segment an image with the network that fits it; ModelError if none does."""
        image = source.read(self.options)
        suggestion = suggest(View(image))
        network = load_named(suggestion.model)
        source = source.for_card(suggestion.model)

        asked = requested_settings(network, self.options)
        row = self.earlier(source, asked)
        if row is not None:
            return row
        result = segment(
            noted(image, suggestion.note),
            network,
            progress=False,
            tell=self.tell,
            **without_reading(self.options),
        )
        return saved_row(result, source, asked, self.formats)

    def earlier(self, source: Source, asked: Mapping[str, Any]) -> Row | None:
        """Return the row of an earlier result; None if there is none, or if it is replaced.

        An earlier result that lacks one of the additional files is made again, with all of them.
        """
        if self.overwrite:
            return None
        row = earlier_row(source, asked)
        stem = source.result.with_suffix("").name
        paths = [source.result.with_name(f"{stem}{ending}") for ending in self.formats]
        if row is not None and row.status == "done before":
            is_whole = all(path.exists() for path in paths)
            return row if is_whole else None
        return row


def saved_row(
    result: Segmentation, source: Source, asked: Mapping[str, Any], formats: tuple[str, ...]
) -> Row:
    """Save a result where the source's result is to be, and return its row."""
    record = {"asked": {**asked, **source.options}}
    save(result, source.result.parent, formats, overwrite=True, record=record)
    return Row(source, "saved", manifest=read_manifest(source.result))


def requested_settings(network: UNet, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked for with these options of ``segment``, as the manifest holds it."""
    settings = check_settings(network.card, **options)
    return request_record(network.weights_sha256, settings.threshold, settings.flips, options)


def without_reading(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of ``segment`` that are not those of ``read_image``."""
    reading = signature(read_image).parameters
    return {name: value for name, value in options.items() if name not in reading}


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


def earlier_row(source: Source, asked: Mapping[str, Any]) -> Row | None:
    """Return the row of an image that already has a result; None if it has none.

    The row says 'failed' if the result was made with other settings or from another file. The
    manifest is written last: files without one are left from an interrupted save and may be
    replaced.
    """
    if not source.result.exists():
        return None

    manifest = read_manifest(source.result)
    how = difference(manifest, {**asked, **source.options}, sha256_of_source(source.image))
    if not how:
        return Row(source, "done before", manifest=manifest)

    error = (
        f"{source.image}: {source.result.parent} already holds {source.result.name}, made {how}: "
        "overwrite=True replaces it."
    )
    return Row(source, "failed", error=error)


def sha256_of_source(image: Path) -> str | None:
    """Return the SHA-256 of the file; None for a folder, which is not compared."""
    return None if image.is_dir() else sha256_of(image)
