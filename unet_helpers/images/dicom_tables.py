"""Lookup tables of DICOM files, which map stored values to units or to brightness.

pydicom's own functions for them refuse tables of 10 or 12 bits and tables that begin below zero,
which files have, so tables are parsed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset

# Numbers of entries and first inputs are stored in 16 bits, and 0 entries mean 2**16.
SIXTEEN_BITS = 2**16

# The highest number with a sign in 16 bits.
HIGHEST_SIGNED = 2**15 - 1

# The depths that entries may have, in bits.
DEPTHS = range(1, 17)


@dataclass(frozen=True, eq=False)
class LookupTable:
    """A table that maps ``first`` to its first entry, ``first + 1`` to the second, and so on."""

    first: int

    # (n,) uint8 or uint16.
    entries: np.ndarray

    # The highest value that an entry may have.
    highest: int

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Map values; those below and above the table's range get its first and last entry."""
        last = self.first + len(self.entries) - 1
        if values.dtype.kind == "f":
            values = np.rint(np.nan_to_num(values, nan=self.first))
        elif values.dtype.itemsize < 4:
            values = values.astype(np.int32)
        else:
            values = values.astype(np.int64)
        indices = np.clip(values, self.first, last) - self.first
        return self.entries[indices.astype(np.intp)]


def table_of(data: Dataset, sequence: str, lowest_input: float) -> LookupTable:
    """Read the first table of the sequence with this name.

    ``lowest_input`` is the lowest value that the table's input may have; by it the first input,
    whose sign is ambiguous in DICOM, is understood. Raises ValueError for an invalid table.
    """
    item = data[sequence].value[0]
    descriptor = [int(number) for number in item.LUTDescriptor]
    if len(descriptor) != 3:
        raise ValueError(f"a descriptor of {len(descriptor)} values")
    count, first, depth = descriptor

    count = count % SIXTEEN_BITS or SIXTEEN_BITS
    if lowest_input < 0 and first > HIGHEST_SIGNED:
        first -= SIXTEEN_BITS
    elif lowest_input >= 0 and first < 0:
        first += SIXTEEN_BITS

    entries = entries_of(data, item, count)
    needed = int(entries.max()).bit_length()
    if depth not in DEPTHS or depth < needed:
        depth = max(1, needed)
    dtype = np.uint8 if depth <= 8 else np.uint16
    return LookupTable(first, entries.astype(dtype), highest=2**depth - 1)


def entries_of(data: Dataset, item: Dataset, count: int) -> np.ndarray:
    """Read the entries of a table: numbers, 16-bit words, or bytes; raise ValueError if none."""
    value = item.LUTData
    if isinstance(value, bytes):
        # One byte an entry (with one more for an even length), or two in the file's byte order.
        is_packed = len(value) < 2 * count
        word = "<u2" if is_little_endian(data) else ">u2"
        entries = np.frombuffer(value, np.uint8 if is_packed else np.dtype(word))
    else:
        numbers = np.atleast_1d(np.asarray(value, np.int64))
        entries = numbers % SIXTEEN_BITS

    entries = entries[:count]
    if not entries.size:
        raise ValueError("a table without entries")
    return entries


def is_little_endian(data: Dataset) -> bool:
    """Return whether the file stores the low byte of a word first; True if it is not known."""
    syntax = getattr(data, "file_meta", {}).get("TransferSyntaxUID")
    if syntax is not None and not syntax.is_private:
        return bool(syntax.is_little_endian)
    _, stored_as = data.original_encoding
    return stored_as is not False
