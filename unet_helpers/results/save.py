"""A result on disk: for people (mask, overlay), for programs (labels, objects, CSV) and for the record (JSON)."""

import hashlib
import json
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from ..errors import SaveError
from ..images.image import MedicalImage
from ..images.tiff import write_ome_tiff
from ..images.volumes import write_nifti
from ..networks.engine import precision
from ..version import __version__
from .exports import EXPORTS, made_aside

ENDINGS = (*EXPORTS, ".html")
FILES = {"overlay": "_overlay.png", "measurements": "_measurements.csv", "manifest": ".json"}


def save(
    result, folder: Path, formats: tuple[str, ...] = (), overwrite: bool = False, record=None
) -> dict[str, Path]:
    """Write all files of a ``Segmentation`` to ``folder``, or none: they are made aside and then moved in.
    The manifest, with what ``record`` holds, comes last: a folder that has it has all. Raises SaveError where the
    folder cannot be written, or (before anything is computed) holds such a file and ``overwrite`` is False.
    """
    for ending in formats:
        if ending not in ENDINGS:
            raise SaveError(f"There is no format {ending!r}: choose from {', '.join(ENDINGS)}.")
    name = f"{result.image.name}_{result.card.name}"
    endings = {*FILES.values(), "_mask.png", "_labels.txt", *formats}
    like = (
        ".nii.gz",
        ".npy",
        ".png",
        ".ome.tif",
    )  # of write_like: some depend on the answer's values
    endings |= {f"_{kind}{ending}" for kind in ("labels", "objects") for ending in like}
    present = sorted(name + ending for ending in endings if (folder / f"{name}{ending}").exists())
    if present and not overwrite:
        raise SaveError(
            f"{folder} already holds {', '.join(present)}: pass overwrite=True or another folder."
        )
    with made_aside(folder, folder, overwrite=True) as aside:
        answers = {"labels": result.labels, "objects": result.objects}
        paths = {
            kind: write_like(result.image, values, aside / f"{name}_{kind}")
            for kind, values in answers.items()
        }
        paths |= {kind: aside / f"{name}{ending}" for kind, ending in FILES.items()}
        paths["overlay"].write_bytes(result._repr_png_())
        table = result.measure()
        table.to_csv(paths["measurements"], index=False)
        if result.labels.ndim == 2:
            paths["mask"] = aside / f"{name}_mask.png"
            mask = Image.fromarray(
                result.labels
            )  # a palette image: class ids for a program, colours for the eye
            mask.putpalette(
                [
                    part
                    for color in ("#000000", *result.card.colors)
                    for part in ImageColor.getrgb(color)
                ]
            )
            mask.save(paths["mask"])
        paths["manifest"].write_text(
            json.dumps(manifest(result, len(table)) | (record or {}), indent=2) + "\n"
        )
        for ending in formats:
            paths[ending] = aside / f"{name}{ending}"
            (result.report if ending == ".html" else result.export)(paths[ending])
    return {kind: folder / path.name for kind, path in paths.items()}


def manifest(result, objects: int) -> dict:
    """Everything needed to know how this answer came about, and to get it again."""
    image, card = result.image, result.card
    source = (
        image.path.read_bytes()
        if image.path is not None and image.path.is_file()
        else image.pixels.tobytes()
    )
    return settings(result) | {
        "input_sha256": hashlib.sha256(source).hexdigest(),
        "shape": list(image.spatial_shape),
        "places": result.places,
        "classes": {
            name: int(np.count_nonzero(result.labels == i))
            for i, name in enumerate(card.classes, 1)
        },
        "objects": objects,
        "expected_dice": result.expected_dice
        and [round(value, 4) for value in result.expected_dice],
        "summary": {
            name: [round(float(value), 6), unit] for name, (value, unit) in result.summary().items()
        },
        "explanation": [result.explain()],
    }


def settings(result) -> dict:
    """What a manifest says before the answer is known."""
    image, card = result.image, result.card
    return {
        "model": card.name,
        "weights_sha256": result.weights_sha256,
        "unet_helpers": __version__,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "input": str(image.path or "array"),
        "spacing_mm": image.spacing and [float(step) for step in image.spacing],
        "threshold": result.threshold,
        "zoom": round(result.zoom, 6),
        "flips": result.flips,
        "precision": precision(),
        "notes": list(image.notes),
        "warnings": list(result.warnings),
        "citation": card.citation,
        "use": card.intended_use,
    }


def write_like(image: MedicalImage, values: np.ndarray, stem: Path) -> Path:
    """Write ``values`` (the image's spatial shape; uint8, int32 or float32) to ``stem`` + ending; returns the path.
    NIfTI gives .nii.gz with the same affine, codes and units; a DICOM series too, since its slices lie in
    space. Stacks, and images whose spacing is known, give OME-TIFF; others PNG; arrays .npy.
    """
    if image.axes == "XYZ" or image.affine is not None:
        return write_nifti(image, values, stem.with_name(f"{stem.name}.nii.gz"))
    if image.path is None:
        np.save(path := stem.with_name(f"{stem.name}.npy"), values)
        return path
    if (
        values.ndim == 2
        and image.spacing is None
        and values.max() < 65536
        and values.dtype != np.float32
    ):
        whole = values if values.dtype == np.uint8 else values.astype(np.uint16)
        Image.fromarray(whole).save(path := stem.with_name(f"{stem.name}.png"))
        return path
    return write_ome_tiff(image, values, stem.with_name(f"{stem.name}.ome.tif"))
