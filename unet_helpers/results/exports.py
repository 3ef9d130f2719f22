"""A result for other programs: QuPath, ImageJ, 3D Slicer, DICOM viewers, spreadsheets, training.

To add an export, write a function (result, path) and add a line to ``EXPORTS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SaveError
from .export_datasets import write_coco, write_yolo
from .export_labels import write_nifti_labels, write_seg_nrrd
from .export_outlines import write_annotations, write_geojson, write_rois
from .export_seg import write_dicom_seg
from .export_tiff import write_objects_tiff
from .export_zarr import write_ome_zarr
from .output import made_aside, output_path, refuse_existing

if TYPE_CHECKING:
    from .segmentation import Segmentation


@dataclass(frozen=True)
class Export:
    """How a result is written for another program."""

    write: Callable[[Segmentation, Path], None]
    beside: str = ""  # ending of a second file, which replaces the format's own; '' if none


def write_csv(result: Segmentation, path: Path) -> None:
    """Write the table of measurements."""
    result.measure().to_csv(path, index=False)


# The export for each ending of a file's name. The first that fits a name is taken.
EXPORTS = {
    ".annotations.geojson": Export(write_annotations),
    ".geojson": Export(write_geojson),
    ".roi.zip": Export(write_rois),
    ".objects.tif": Export(write_objects_tiff),
    ".ome.zarr": Export(write_ome_zarr),
    ".seg.nrrd": Export(write_seg_nrrd),
    ".nii.gz": Export(write_nifti_labels, beside="_labels.txt"),
    ".dcm": Export(write_dicom_seg),
    ".coco.json": Export(write_coco),
    ".yolo.txt": Export(write_yolo, beside=".yolo_classes.txt"),
    ".csv": Export(write_csv),
}


def export(result: Segmentation, path: str | Path, overwrite: bool) -> Path:
    """Write a result in the format of the path's ending; the file is written whole or not at all.

    Raises SaveError if no export has this ending, if a file exists and ``overwrite`` is False (both
    before anything is computed), or if the file cannot be written.
    """
    path = output_path(path)
    ending = ending_of(path)
    chosen = EXPORTS[ending]

    if not overwrite:
        refuse_existing(path)
        if chosen.beside:
            refuse_existing(path.with_name(path.name[: -len(ending)] + chosen.beside))

    with made_aside(path, path.parent, overwrite) as aside:
        chosen.write(result, aside / path.name)
    return path


def ending_of(path: Path) -> str:
    """Return the ending in ``EXPORTS`` that a path's name has; SaveError if it has none."""
    for ending in EXPORTS:
        if path.name.lower().endswith(ending):
            return ending
    raise SaveError(f"{path}: no format ends so. Choose a name that ends in {', '.join(EXPORTS)}.")
