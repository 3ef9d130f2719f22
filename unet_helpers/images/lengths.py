"""Units of length, in the spellings that programs of microscopes and scanners write."""

import math
import re
from numbers import Real

# Length in mm of each unit, in lower case and without the plural's s.
MILLIMETRES = {
    "pm": 1e-9,
    "picometer": 1e-9,
    "å": 1e-7,
    "angstrom": 1e-7,
    "nm": 1e-6,
    "nanometer": 1e-6,
    "µm": 1e-3,
    "um": 1e-3,
    "micron": 1e-3,
    "micrometer": 1e-3,
    "mm": 1.0,
    "millimeter": 1.0,
    "cm": 10.0,
    "centimeter": 10.0,
    "m": 1000.0,
    "meter": 1000.0,
    "in": 25.4,
    "inch": 25.4,
    "inche": 25.4,  # inches, without the s
    '"': 25.4,
}

# px per cm. A resolution up to this may be that of a screen or printer (1200 dpi are 472 per cm)
# and says nothing about the object.
MAX_PRINTER_RESOLUTION = 500

# A number and a unit, such as '4.0 nm' or '0,25µm'.
NUMBER_AND_UNIT = re.compile(r"\s*([-+]?[\d.,]+(?:[eE][-+]?\d+)?)\s*(\S.*?)\s*")


def millimetres(unit: str) -> float | None:
    """Return the length of ``unit`` in mm, for any of its spellings; None if it is unknown."""
    unit = unit.strip().strip("\0")
    # The micro sign as ImageJ escapes it, as the Greek letter, and as UTF-8 that was taken for
    # Latin-1.
    unit = unit.replace("\\u00B5", "µ").replace("\\u00b5", "µ").replace("μ", "µ")
    unit = unit.replace("Âµ", "µ").replace("Â", "")
    unit = unit.replace("metre", "meter").lower()
    if len(unit) > 2:
        unit = unit.rstrip("s")
    return MILLIMETRES.get(unit)


def length_of(text: str) -> float | None:
    """Return the length in mm that a text gives, such as '8 µm'; None if it gives none."""
    match = NUMBER_AND_UNIT.fullmatch(text)
    if match is None:
        return None
    number = number_of(match[1])
    unit = millimetres(match[2])
    if number is None or unit is None:
        return None
    return number * unit


def number_of(value: object) -> float | None:
    """Return a finite number above 0 from a number or a text; None for anything else.

    Programs write 0 or a negative number where a size is not known. A decimal comma is understood.
    """
    if isinstance(value, Real):
        number = float(value)
    else:
        try:
            number = float(str(value).strip().strip('"').replace(",", "."))
        except ValueError:
            return None
    if math.isfinite(number) and number > 0:
        return number
    return None


def is_finer_than_print(*steps: float) -> bool:
    """Return whether all spacings in mm are too fine for those of a screen or printer."""
    return max(steps) < MILLIMETRES["cm"] / MAX_PRINTER_RESOLUTION
