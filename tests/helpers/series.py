"""DICOM series and enhanced files, slice by slice."""

from pathlib import Path

import numpy as np
from pydicom import Dataset

from helpers.files import dicom

VOLUME = np.random.default_rng(0).integers(0, 900, (9, 20, 24), np.uint16)
AXIAL = (1, 0, 0, 0, 1, 0)

# mm from slice to slice, from row to row, from column to column.
DEPTH, ROW, COLUMN = 5.5, 0.7, 0.5
SPACING = (DEPTH, ROW, COLUMN)


def write_series(
    folder: Path,
    indices=range(9),
    uid: str = "1.2",
    *,
    orientation=AXIAL,
    shift: float = 0.0,
    name: str = "{}.IMA",
    values: np.ndarray = VOLUME,
    step: float = DEPTH,
    **tags,
) -> None:
    """Slices of ``values``, each ``shift`` mm further to the back than the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    normal = np.cross(orientation[:3], orientation[3:])
    for index in indices:
        place = np.array([-10.0, 20, 30]) + normal * step * index
        place[1] += shift * index
        write = dicom(
            values[index],
            ImagePositionPatient=place.tolist(),
            PixelSpacing=[ROW, COLUMN],
            ImageOrientationPatient=list(orientation),
            SeriesInstanceUID=uid,
            **tags,
        )
        write(folder / name.format(f"{uid}-{index}"))


def frame_group(depth: float, echo: float) -> Dataset:
    """What an enhanced file says about one of its frames."""
    position, orientation, measures, echo_time, group = (Dataset() for _ in range(5))
    position.ImagePositionPatient = [0, 0, depth]
    orientation.ImageOrientationPatient = list(AXIAL)
    measures.PixelSpacing = [ROW, COLUMN]
    echo_time.EffectiveEchoTime = echo
    group.PlanePositionSequence = [position]
    group.PlaneOrientationSequence = [orientation]
    group.PixelMeasuresSequence = [measures]
    group.MREchoSequence = [echo_time]
    return group
