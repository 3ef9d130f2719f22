"""Write a result to disk: mask and overlay, labels and CSV for programs, a manifest (JSON)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageColor

from ..errors import SaveError
from ..images.image import MedicalImage
from ..images.nifti import write_nifti
from ..images.tiff import write_ome_tiff
from ..networks.engine import precision_of
from ..version import __version__
from .exports import EXPORTS
from .output import made_aside, output_path, result_name
from .overlay import in_proportion, png
from .request import difference, read_manifest, request_of

if TYPE_CHECKING:
    from .segmentation import Segmentation

REPORT = ".html"

# Endings of optional files, which ``save`` adds if asked to.
ENDINGS = (*EXPORTS, REPORT)

# Endings of the files of every result.
OVERLAY = "_overlay.png"
MEASUREMENTS = "_measurements.csv"
MANIFEST = ".json"
MASK = "_mask.png"  # for single images only

# Endings that `write_like` may choose. Which one depends on the input and on the values written.
ENDINGS_LIKE_THE_INPUT = (".nii.gz", ".npy", ".png", ".ome.tif")

# The largest id that fits into a 16-bit PNG.
MAX_UINT16 = 65535


def save(
    result: Segmentation,
    folder: str | Path,
    formats: Sequence[str] = (),
    overwrite: bool = False,
    record: Mapping[str, Any] | None = None,
) -> dict[str, Path]:
    """Write all files of a ``Segmentation`` to ``folder``, or none; returns their paths by kind.

    They are written to a temporary folder and then moved. The manifest, to which ``record`` is
    added, moves last: if a folder has it, it has all files. An earlier result of the same image,
    network and settings is kept, and only its missing formats are added. Raises SaveError if the
    folder cannot be written, or if it holds another result and ``overwrite`` is False (before
    anything is computed).
    """
    folder = output_path(folder)
    name = result_name(result.image.name, result.card.name)
    check_formats(formats)
    if not overwrite:
        earlier = earlier_paths(result, folder, name)
        if earlier:
            print(f"{folder} already holds this result as {name}{MANIFEST}: kept.")
            return earlier | add_formats(result, folder, name, formats)
        refuse_other_files(folder, name, formats)

    with made_aside(folder, folder, overwrite=True) as aside:
        paths = {
            "labels": write_like(result.image, result.labels, aside / f"{name}_labels"),
            "objects": write_like(result.image, result.objects, aside / f"{name}_objects"),
            "overlay": aside / f"{name}{OVERLAY}",
            "measurements": aside / f"{name}{MEASUREMENTS}",
            "manifest": aside / f"{name}{MANIFEST}",
        }
        paths["overlay"].write_bytes(png(in_proportion(result.overlay(), result.image)))

        table = result.measure()
        table.to_csv(paths["measurements"], index=False)

        for kind, mask in masks_to_save(result).items():
            stem = aside / f"{name}_{kind}"
            paths[kind] = write_like(result.image, mask.astype(np.uint8), stem)

        if result.labels.ndim == 2:
            paths["mask"] = aside / f"{name}{MASK}"
            write_palette_mask(result, paths["mask"])

        facts = manifest(result, objects=len(table))
        if record:
            facts.update(record)
        paths["manifest"].write_text(json.dumps(facts, indent=2) + "\n")

        for ending in formats:
            paths[ending] = aside / f"{name}{ending}"
            write_format(result, paths[ending])
    return {kind: folder / path.name for kind, path in paths.items()}


def masks_to_save(result: Segmentation) -> dict[str, np.ndarray]:
    """Return the masks of classes that overlap, by the ends of their names; else none.

    The labels cannot show all of each of them.
    """
    card = result.card
    if not card.overlapping:
        return {}
    return {f"mask_{name.replace(' ', '_')}": result.mask(name) for name in card.classes}


def check_formats(formats: Sequence[str]) -> None:
    """Raise SaveError if an ending is not in ``ENDINGS``."""
    for ending in formats:
        if ending not in ENDINGS:
            raise SaveError(f"There is no format {ending!r}: choose from {', '.join(ENDINGS)}.")


def write_format(result: Segmentation, path: Path) -> None:
    """Write an optional file: the report, or the export of the path's ending."""
    if path.name.endswith(REPORT):
        result.report(path)
    else:
        result.export(path)


def add_formats(
    result: Segmentation, folder: Path, name: str, formats: Sequence[str]
) -> dict[str, Path]:
    """Write the optional files that an earlier result does not have; return the paths of all."""
    paths = {ending: folder / f"{name}{ending}" for ending in formats}
    for path in paths.values():
        if not path.exists():
            write_format(result, path)
    return paths


def earlier_paths(result: Segmentation, folder: Path, name: str) -> dict[str, Path]:
    """Return the paths of an earlier result that is this one, by kind; {} if there is none.

    Like ``segment_folder`` it knows a result by its manifest, because files without one are left
    from an interrupted save. Raises SaveError if the manifest is of another result.
    """
    manifest_path = folder / f"{name}{MANIFEST}"
    if not manifest_path.exists():
        return {}

    earlier = read_manifest(manifest_path)
    how = difference(earlier, request_of(result), sha256_of_input(result.image))
    if how:
        raise SaveError(
            f"{folder} already holds {name}{MANIFEST}, made {how}: "
            "pass overwrite=True or another folder."
        )

    paths = {
        "labels": first_existing(folder, f"{name}_labels"),
        "objects": first_existing(folder, f"{name}_objects"),
        "overlay": folder / f"{name}{OVERLAY}",
        "measurements": folder / f"{name}{MEASUREMENTS}",
        "manifest": manifest_path,
    }
    for kind in masks_to_save(result):
        paths[kind] = first_existing(folder, f"{name}_{kind}")
    if result.labels.ndim == 2:
        paths["mask"] = folder / f"{name}{MASK}"

    # Files that were deleted are written again.
    is_whole = all(path.exists() for path in paths.values())
    return paths if is_whole else {}


def first_existing(folder: Path, stem: str) -> Path:
    """Return the file of this stem, with one of the endings that ``write_like`` chooses."""
    paths = [folder / f"{stem}{ending}" for ending in ENDINGS_LIKE_THE_INPUT]
    existing = [path for path in paths if path.exists()]
    return existing[0] if existing else paths[0]


def refuse_other_files(folder: Path, name: str, formats: Sequence[str]) -> None:
    """Raise SaveError for an optional file that ``export`` wrote and ``save`` would replace."""
    endings = set(formats)
    endings.update(EXPORTS[ending].beside for ending in formats if ending in EXPORTS)
    present = sorted(
        f"{name}{ending}" for ending in endings if ending and (folder / f"{name}{ending}").exists()
    )
    if present:
        raise SaveError(
            f"{folder} already holds {', '.join(present)}: pass overwrite=True or another folder."
        )


def write_palette_mask(result: Segmentation, path: Path) -> None:
    """Write the labels as a palette PNG: pixels are class ids, shown in the classes' colours."""
    palette: list[int] = []
    for colour in ("#000000", *result.card.colors):
        palette.extend(ImageColor.getrgb(colour))

    mask = Image.fromarray(result.labels)
    mask.putpalette(palette)
    mask.save(path)


def manifest(result: Segmentation, objects: int) -> dict[str, Any]:
    """Return what was found, from which input and with which settings, to reproduce the answer."""
    image = result.image

    pixels_per_class = {}
    for name in result.card.classes:
        pixels_per_class[name] = int(np.count_nonzero(result.mask(name)))

    expected = None
    if result.expected_dice is not None:
        expected = [round(value, 4) for value in result.expected_dice]

    by_hand = None
    if result.by_hand is not None:
        by_hand = result.by_hand.record(result.card.classes)

    summary = {}
    for name, (value, unit) in result.summary().items():
        summary[name] = [round(float(value), 6), unit]

    return settings(result) | {
        "input_sha256": sha256_of_input(image),
        "shape": list(image.spatial_shape),
        "places": result.places,
        "classes": pixels_per_class,
        "objects": objects,
        "by_hand": by_hand,
        "expected_dice": expected,
        "assessment": result.assessment.sentence,
        "level": result.assessment.level.name.lower(),
        "summary": summary,
        "explanation": [result.explain()],
        "asked": request_of(result),
    }


def sha256_of_input(image: MedicalImage) -> str:
    """Return the SHA-256 of the file that was read, or of the pixels if there is no file."""
    if image.path is not None and image.path.is_file():
        content = image.path.read_bytes()
    else:
        content = image.pixels.tobytes()
    return hashlib.sha256(content).hexdigest()


def settings(result: Segmentation) -> dict[str, Any]:
    """Return the part of a manifest that does not depend on the answer."""
    image = result.image
    card = result.card

    spacing = None
    if image.spacing is not None:
        spacing = [float(step) for step in image.spacing]

    return {
        "model": card.name,
        "weights_sha256": result.weights_sha256,
        "unet_helpers": __version__,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "input": str(image.path or "array"),
        "spacing_mm": spacing,
        "threshold": result.threshold,
        "zoom": round(result.zoom, 6),
        "flips": result.flips,
        "precision": precision_of(card),
        "notes": list(image.notes),
        "warnings": list(result.warnings),
        "citation": card.citation,
        "use": card.intended_use,
    }


def write_like(image: MedicalImage, values: np.ndarray, stem: Path) -> Path:
    """Write ``values`` in the format that suits the input, to ``stem`` + ending; return the path.

    ``values`` have the image's spatial shape and are uint8, int32 or float32.

    - NIfTI files and DICOM series, which have an affine: .nii.gz with the same affine;
    - arrays: .npy;
    - stacks, images with a spacing, float32 values and ids above 65535: .ome.tif;
    - others: .png.
    """
    if image.lies_in_space:
        return write_nifti(image, values, stem.with_name(f"{stem.name}.nii.gz"))

    if image.path is None:
        path = stem.with_name(f"{stem.name}.npy")
        np.save(path, values)
        return path

    is_plain = values.ndim == 2 and image.spacing is None and values.dtype != np.float32
    if is_plain and values.max() <= MAX_UINT16:
        if values.dtype != np.uint8:
            values = values.astype(np.uint16)
        path = stem.with_name(f"{stem.name}.png")
        Image.fromarray(values).save(path)
        return path

    return write_ome_tiff(image, values, stem.with_name(f"{stem.name}.ome.tif"))
