"""Look up attributes of DICOM data sets: in the file and in its functional groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset


def group_contents(groups: Iterable[Dataset]) -> list[Dataset]:
    """List the data sets inside functional groups (those of one frame, or the shared ones)."""
    return [
        element.value[0]
        for group in groups
        for element in group
        if element.VR == "SQ" and element.value
    ]


def shared_contents(data: Dataset) -> list[Dataset]:
    """List the data sets that an enhanced file gives for all of its frames."""
    return group_contents(data.get("SharedFunctionalGroupsSequence") or ())


def contents_of_frames(data: Dataset) -> list[list[Dataset]]:
    """List, for each frame, what an enhanced file says about it: its own, shared, and of the file.

    Empty if the file has no groups, or not one for each frame.
    """
    groups = data.get("PerFrameFunctionalGroupsSequence") or ()
    if len(groups) != frames_of(data):
        return []
    shared = shared_contents(data)
    return [[*group_contents([group]), *shared, data] for group in groups]


def first_given(datasets: Sequence[Dataset], *names: str) -> Any:
    """Return the value of the first of ``names`` that is in any of the data sets, else None.

    Empty values and 0 count as missing: a spacing or slope of 0 is none.
    """
    for name in names:
        for dataset in datasets:
            value = dataset.get(name)
            if value:
                return value
    return None


def first_text(datasets: Sequence[Dataset], *names: str) -> str:
    """Return the first value that is given as text, several values joined by '/'; '' if none is."""
    for name in names:
        for dataset in datasets:
            text = "/".join(values_in(dataset.get(name)))
            if text:
                return text
    return ""


def values_in(value: Any) -> list[str]:
    """List the values of an attribute as texts; empty if it has none."""
    if value is None:
        return []
    is_list = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    return [str(single).strip() for single in (value if is_list else [value])]


def frames_of(data: Dataset) -> int:
    """Read how many frames the file says it holds."""
    return int(data.get("NumberOfFrames") or 1)


def samples_of(data: Dataset) -> int:
    """Read how many values a pixel has."""
    return int(data.get("SamplesPerPixel") or 1)


def photometric_of(data: Dataset) -> str:
    """Read the photometric interpretation; '' if there is none."""
    return str(data.get("PhotometricInterpretation") or "")
