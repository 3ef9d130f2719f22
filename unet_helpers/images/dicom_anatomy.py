"""Body part and direction of view, as DICOM files name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .dicom_tags import first_given, first_text

if TYPE_CHECKING:
    from pydicom import Dataset

# Directions in PatientOrientation along a row of a lateral image: to the front or to the back.
FRONT_OR_BACK = ("A", "P")


def body_part_of(datasets: Sequence[Dataset]) -> str:
    """Return the body part that was examined, as the file names it; '' if it does not."""
    return first_text(datasets, "BodyPartExamined") or coded(datasets, "AnatomicRegionSequence")


def view_of(datasets: Sequence[Dataset]) -> str:
    """Return the direction of view of an X-ray image, as the file names it; '' if it does not.

    Without a name, an image whose rows run from back to front is a lateral one.
    """
    name = first_text(datasets, "ViewPosition") or coded(datasets, "ViewCodeSequence")
    if name:
        return name
    along_row = first_text(datasets, "PatientOrientation")[:1]
    return "lateral" if along_row in FRONT_OR_BACK else ""


def coded(datasets: Sequence[Dataset], sequence: str) -> str:
    """Return the meaning of the first code of a sequence; '' if there is none."""
    codes = first_given(datasets, sequence)
    if not codes:
        return ""
    return first_text([codes[0]], "CodeMeaning", "CodeValue")
