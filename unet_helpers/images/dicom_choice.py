"""Choose between images of a DICOM series or file that lie in the same places.

A condition such as 'AcquisitionNumber=2' picks those images whose attribute has this value.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ..errors import ImageError
from .dicom_tags import first_text

if TYPE_CHECKING:
    from pydicom import Dataset

    from .dicom_geometry import Slice

# Attributes that tell images of one series apart, with their names in enhanced and in single-frame
# files, and what their values are called in a sentence. The first that fits is offered as a choice.
ATTRIBUTES: dict[str, tuple[tuple[str, ...], str]] = {
    "EchoTime": (("EffectiveEchoTime", "EchoTime"), "echo times"),
    "EchoNumbers": (("EchoNumbers",), "echoes"),
    "AcquisitionNumber": (("FrameAcquisitionNumber", "AcquisitionNumber"), "acquisitions"),
    "TemporalPositionIdentifier": (
        ("TemporalPositionIndex", "TemporalPositionIdentifier"),
        "points in time",
    ),
    "DiffusionBValue": (("DiffusionBValue",), "b-values"),
    "ImageType": (("FrameType", "ImageType"), "types of image"),
    "ComplexImageComponent": (("ComplexImageComponent",), "components"),
    "InversionTime": (("InversionTimes", "InversionTime"), "inversion times"),
    "FlipAngle": (("FlipAngle",), "flip angles"),
    "ConvolutionKernel": (("ConvolutionKernel",), "kernels"),
    "KVP": (("KVP",), "tube voltages"),
    "StackID": (("StackID",), "stacks"),
    "TriggerTime": (("NominalCardiacTriggerDelayTime", "TriggerTime"), "trigger times"),
    "ProtocolName": (("ProtocolName",), "protocols"),
    "SeriesDescription": (("SeriesDescription",), "descriptions"),
    "ContrastBolusAgent": (("ContrastBolusAgent",), "contrast agents"),
    "AcquisitionTime": (("AcquisitionTime",), "acquisition times"),
    "ContentTime": (("ContentTime",), "content times"),
    "SeriesTime": (("SeriesTime",), "series times"),
    "SeriesInstanceUID": (("SeriesInstanceUID",), "series UIDs"),
    "Rows": (("Rows",), "numbers of rows"),
    "Columns": (("Columns",), "numbers of columns"),
}

# The number of an image among those in its place, in the order of the first of ``ORDERS`` that all
# of them have; not a DICOM attribute.
REPETITION = "Repetition"
ORDERS = ("InstanceNumber", "AcquisitionTime", "ContentTime")

# Values of ImageType, or their beginnings, that name the parts of a complex MR image.
COMPONENTS = {
    "phase": ("P", "PHASE", "P_", "PHASE MAP", "VELOCITY MAP"),
    "real": ("R", "REAL", "R_"),
    "imaginary": ("I", "IMAGINARY", "I_"),
    "magnitude": ("M", "MAGNITUDE", "M_"),
}

# GE's private element for the part, and its values.
GE_COMPONENT = (0x0043, 0x102F)
GE_COMPONENTS = {"0": "magnitude", "1": "phase", "2": "real", "3": "imaginary"}

# The first two values of ImageType say whether an image is original and primary.
BEFORE_KIND = 2

# How many choices an error lists at most.
LISTED_CHOICES = 12


@dataclass(frozen=True)
class Condition:
    """A value that an attribute of the chosen images has."""

    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}={self.value}"

    def fits(self, member: Slice) -> bool:
        """Return whether the attribute has this value, or has it among its values."""
        given = attribute_of(member, self.name)
        parts = given.replace("\\", "/").split("/")
        wanted = self.value.replace("\\", "/")
        return any(is_same(part, wanted) for part in (given, *parts))


def is_same(given: str, wanted: str) -> bool:
    """Compare two values as numbers, or as texts without their case."""
    try:
        return float(given) == float(wanted)
    except ValueError:
        return given.strip().casefold() == wanted.strip().casefold()


def conditions_in(select: str | None, series: str | int | None, path: Path) -> list[Condition]:
    """Parse 'NAME=VALUE, NAME=VALUE', and the 'echo TIME' that may end ``series``.

    Raises ImageError if a name is no DICOM attribute or there is no value.
    """
    conditions = []
    for part in (select or "").split(","):
        name, separator, value = part.partition("=")
        if part.strip():
            if not (separator and value.strip()):
                raise ImageError(
                    f"{path}: select={select!r} is no choice. "
                    "Write an attribute and its value, such as 'AcquisitionNumber=2'."
                )
            conditions.append(Condition(keyword_of(name.strip(), path), value.strip()))
    _, echo = name_and_echo(series)
    if echo:
        conditions.append(Condition("EchoTime", echo))
    return conditions


def name_and_echo(series: str | int | None) -> tuple[str, str]:
    """Split 'NAME echo TIME' into the name of a series and an echo time; '' for what is missing."""
    text = "" if series is None else str(series).strip()
    echo = re.search(r"(?:^|\s)echo\s+([\d.]+)$", text)
    if echo is None:
        return text, ""
    return text[: echo.start()].strip(), echo[1]


def keyword_of(name: str, path: Path) -> str:
    """Return the keyword of an attribute, whatever its case; ImageError if there is none."""
    from pydicom.datadict import tag_for_keyword

    for known in (*ATTRIBUTES, REPETITION):
        if name.casefold() == known.casefold():
            return known
    if tag_for_keyword(name) is None:
        raise ImageError(
            f"{path}: DICOM has no attribute {name!r}. Choose by {', '.join(ATTRIBUTES)}."
        )
    return name


def attribute_of(member: Slice, name: str) -> str:
    """Return the value of an attribute as text, several values joined by '/'; '' without one."""
    keywords, _ = ATTRIBUTES.get(name, ((name,), name))
    text = first_text(member.datasets, *keywords)
    if not text and name == "ComplexImageComponent":
        return component_of(member).upper()
    return text


def component_of(member: Slice) -> str:
    """Return which part of a complex MR image this is, such as 'phase'; '' if it does not say."""
    return component_of_datasets(member.datasets)


def component_of_datasets(datasets: Sequence[Dataset]) -> str:
    """Return which part of a complex MR image data sets describe, or ''."""
    if first_text(datasets, "Modality") not in ("MR", ""):
        return ""
    for dataset in datasets:
        element = dataset.get(GE_COMPONENT)
        if element is not None and str(element.value) in GE_COMPONENTS:
            return GE_COMPONENTS[str(element.value)]

    kinds = first_text(datasets, "FrameType", "ImageType").split("/")[BEFORE_KIND:]
    kinds.append(first_text(datasets, "ComplexImageComponent"))
    return component_in(kinds)


def component_in(kinds: Sequence[str]) -> str:
    """Return the part of a complex image that one of the values of ImageType names, or ''."""
    for component, names in COMPONENTS.items():
        for kind in kinds:
            begins = any(name.endswith("_") and kind.startswith(name) for name in names)
            if begins or kind in names:
                return component
    return ""


def of_conditions(slices: list[Slice], conditions: Sequence[Condition], path: Path) -> list[Slice]:
    """Take the slices that fit all conditions; ImageError with the values there are if none do."""
    for condition in conditions:
        if condition.name == REPETITION:
            continue
        chosen = [member for member in slices if condition.fits(member)]
        if not chosen:
            refuse(path, condition.name, slices, f"nothing has {condition}")
        slices = chosen
    return slices


def of_one_component(slices: list[Slice], path: Path) -> tuple[list[Slice], list[str]]:
    """Leave out the phase, real and imaginary images among magnitude images, with a note.

    Raises ImageError if there are several kinds, but none is the magnitude.
    """
    by_component = defaultdict(list)
    for member in slices:
        by_component[component_of(member)].append(member)
    if len(by_component) == 1:
        return slices, []

    usual = next((name for name in ("magnitude", "") if name in by_component), None)
    if usual is None:
        refuse(path, "ImageType", slices)
    notes = []
    for component, members in by_component.items():
        if component != usual:
            name = first_separating(slices) or "ImageType"
            choice = Condition(name, attribute_of(members[0], name))
            count = len(members)
            notes.append(f"left out {count} images of the {component} (select='{choice}')")
    return by_component[usual], notes


def of_one_contrast(slices: list[Slice], path: Path) -> list[Slice]:
    """Return the slices; raise ImageError if they have several echo times, listing these."""
    times = {attribute_of(member, "EchoTime") for member in slices}
    if len(times) > 1:
        refuse(path, "EchoTime", slices)
    return slices


def refuse(path: Path, name: str, slices: list[Slice], problem: str = "") -> NoReturn:
    """Raise an ImageError that lists the values of an attribute, to choose one of them."""
    counts = Counter(attribute_of(member, name) for member in slices)
    _, words = ATTRIBUTES.get(name, ((name,), f"values of {name}"))
    if not problem:
        problem = f"holds {len(counts)} {words}"
    raise ImageError(f"{path}: {problem}, choose one with select=...: {choices(name, counts)}")


def choices(name: str, counts: Counter[str]) -> str:
    """List the conditions for each value of an attribute, with the number of images."""
    listed = [f"'{Condition(name, value)}' ({count})" for value, count in sorted_by_value(counts)]
    more = len(listed) - LISTED_CHOICES
    if more > 0:
        listed = [*listed[:LISTED_CHOICES], f"and {more} more"]
    return "; ".join(listed)


def sorted_by_value(counts: Counter[str]) -> list[tuple[str, int]]:
    """Sort values as numbers where they are, and as texts otherwise."""

    def order(item: tuple[str, int]) -> tuple[float, str]:
        try:
            return float(item[0]), ""
        except ValueError:
            return float("inf"), item[0]

    return sorted(counts.items(), key=order)


def first_separating(slices: list[Slice]) -> str | None:
    """Return the first attribute by whose values images in the same place can be told apart.

    If no single one does so, return the first that leaves fewer in the same place; else None.
    """
    for is_enough in (True, False):
        for name in ATTRIBUTES:
            if separates(slices, name, is_enough=is_enough):
                return name
    return None


def separates(slices: list[Slice], name: str, *, is_enough: bool) -> bool:
    """Return whether an attribute has several values, by which a volume can be chosen.

    An attribute that has another value in each slice would leave nothing to read: each value must
    be that of several places, or there may not be more values than images in a place (as for one
    slice that was repeated). With ``is_enough`` each value must be that of at most one image in a
    place.
    """
    places = defaultdict(list)
    for member in slices:
        places[attribute_of(member, name)].append(member.place)
    if len(places) == 1:
        return False

    images_in_places = Counter(member.place for member in slices)
    fewest_places = min(2, len(images_in_places))
    numbers_of_places = [len(set(members)) for members in places.values()]
    has_few_values = len(places) <= max(images_in_places.values())
    is_of_places = min(numbers_of_places) >= fewest_places or (
        has_few_values and max(numbers_of_places) >= fewest_places
    )
    if not is_enough:
        return is_of_places
    is_unique = all(len(set(members)) == len(members) for members in places.values())
    return is_of_places and is_unique


def repetitions_of(slices: list[Slice]) -> list[int] | None:
    """Count the images in each place from 1, by their number or time; None if that is impossible.

    It is possible if all places have as many images, of different numbers.
    """
    for name in ORDERS:
        try:
            numbers = [float(attribute_of(member, name)) for member in slices]
        except ValueError:
            continue

        by_place = defaultdict(list)
        for index, (member, number) in enumerate(zip(slices, numbers, strict=True)):
            by_place[member.place].append((number, index))
        counts = {len(numbered) for numbered in by_place.values()}
        different = {len({number for number, _ in numbered}) for numbered in by_place.values()}
        if len(counts) == 1 and counts == different:
            ranks = {
                index: rank
                for numbered in by_place.values()
                for rank, (_, index) in enumerate(sorted(numbered), 1)
            }
            return [ranks[index] for index in range(len(slices))]
    return None
