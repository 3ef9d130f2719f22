"""DICOM: single files and multi-frame files; `dicom_series` puts slices and frames where they lie."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import ImageError
from .dicom_series import Slice, assemble
from .image import MedicalImage, refuse_if_huge


def pydicom_or_advice(path: Path):
    try:
        import pydicom
    except ImportError as error:
        raise ImageError(f"{path}: reading DICOM needs one more package: pip install pydicom") from error
    return pydicom


def looks_like_dicom(start: bytes) -> bool:
    """With the preamble, whatever fills it, or a first data element of group 2 or 8 right away."""
    return start[128:132] == b"DICM" or (
        start[:2] in (b"\x02\0", b"\x08\0") and start[3:4] == b"\0" and any(start[4:8])
    )


def read_dicom(path: Path, series: str | None = None, frame: int | None = None, **_) -> MedicalImage:
    """One file: 'YX', 'YXC', or 'ZYX' where it holds several frames, sorted by their own positions."""
    data = pydicom_or_advice(path).dcmread(path, force=True)
    image = from_dataset(data, path)
    if frame is not None:
        count = len(image.pixels) if image.axes[0] == "Z" else 1
        if not 0 <= frame < count:
            raise ImageError(f"{path}: has frames 0 to {count - 1}, there is no frame {frame}.")
        spacing = image.spacing and image.spacing[-2:]
        notes = (*image.notes, f"took frame {frame} of {count}")
        pixels = image.pixels[frame] if count > 1 else image.pixels
        return replace(image, pixels=pixels, axes=image.axes.lstrip("Z"), spacing=spacing, notes=notes)
    groups = getattr(data, "PerFrameFunctionalGroupsSequence", None) or ()
    places = [frame_geometry(data, group) for group in groups]
    if len(places) < 2 or len(places) != len(image.pixels) or any(None in place[:2] for place in places):
        return image
    slices = [
        Slice(position, turn, echo, replace(image, pixels=pixels, axes=image.axes[1:], spacing=spacing))
        for (position, turn, echo, spacing), pixels in zip(places, image.pixels)
    ]
    return assemble(slices, path, series)


def frame_geometry(data, group) -> tuple:
    """(position, orientation, echo, spacing) of a frame: its own, or that which all frames share."""
    shared = (getattr(data, "SharedFunctionalGroupsSequence", None) or [None])[0]
    inside = [
        e.value[0] for holder in (group, shared) if holder is not None for e in holder if e.VR == "SQ" and e.value
    ]

    def value(name):
        return next((v for v in (getattr(place, name, None) for place in inside) if v is not None), None)

    spacing = value("PixelSpacing")
    echo = str(value("EffectiveEchoTime") or "")
    numbers = [v if v is None else tuple(float(n) for n in v) for v in
               (value("ImagePositionPatient"), value("ImageOrientationPatient"), spacing)]  # fmt: skip
    return numbers[0], numbers[1], echo, numbers[2]


def from_dataset(data, path: Path) -> MedicalImage:
    frames = int(getattr(data, "NumberOfFrames", 1) or 1)
    held = any(f"{kind}PixelData" in data for kind in ("", "Float", "DoubleFloat"))
    if not (held and data.get("Rows") and data.get("Columns")):
        raise ImageError(f"{path}: a DICOM file without an image (report, structure set, ...). Choose another one.")
    refuse_if_huge(path, (frames, data.Rows, data.Columns, int(getattr(data, "SamplesPerPixel", 1))))
    try:
        pixels, notes = data.pixel_array, []
    except (RuntimeError, NotImplementedError) as error:
        if "plugin" not in str(error) and "package" not in str(error):
            raise
        advice = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
        kind = data.file_meta.TransferSyntaxUID.name
        raise ImageError(f"{path}: its compression ({kind}) needs more packages: {advice}") from error
    photometric = str(getattr(data, "PhotometricInterpretation", ""))
    colour = int(getattr(data, "SamplesPerPixel", 1)) == 3
    if colour and photometric.startswith("YBR"):
        notes.append("converted from YBR to RGB")  # by pydicom
    if photometric == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        pixels, colour = apply_color_lut(pixels, data)[..., :3], True
        notes.append("expanded the colour palette")
    inverse = str(getattr(data, "PresentationLUTShape", "")) == "INVERSE" and photometric == "MONOCHROME2"
    if photometric == "MONOCHROME1" or inverse:
        top = -1 if data.PixelRepresentation else 2**data.BitsStored - 1
        pixels = pixels.dtype.type(top) - pixels  # the same in every slice of a series
        notes.append("inverted: the file stores white as the lowest value")
    slope, shift = float(attribute(data, "RescaleSlope") or 1), float(attribute(data, "RescaleIntercept") or 0)
    if (slope, shift) != (1, 0):
        pixels = pixels.astype(np.float32) * np.float32(slope) + np.float32(shift)
        notes.append(f"values scaled by {slope:g} and shifted by {shift:g}, as the file says")
    across = attribute(data, "PixelSpacing", "ImagerPixelSpacing")
    spacing = tuple(float(s) for s in across) if across else None
    axes = ("Z" if frames > 1 else "") + "YX" + ("C" if colour else "")
    if spacing and frames > 1:
        depth = attribute(data, "SpacingBetweenSlices", "SliceThickness")
        spacing = (float(depth), *spacing) if depth else None
    told = {"modality": str(getattr(data, "Modality", "")), "description": str(getattr(data, "SeriesDescription", ""))}
    return MedicalImage(pixels, axes, spacing, path=path, notes=tuple(notes), **told)


def attribute(data, *names: str):
    """The first of ``names`` that a file gives, an enhanced one in the groups that all its frames share; else None."""
    groups = getattr(data, "SharedFunctionalGroupsSequence", None) or ()
    shared = [element.value[0] for group in groups for element in group if element.VR == "SQ" and element.value]
    values = (getattr(place, name, None) for name in names for place in (data, *shared))
    return next((value for value in values if value), None)


def read_dicom_folder(folder: Path, series: str | None = None, **_) -> MedicalImage:
    """One series of a folder and all folders in it; what else lies there is said, and several raise ImageError."""
    found: dict[str, list] = {}
    others = 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            is_dicom = looks_like_dicom(file.read(132))
        data = pydicom_or_advice(path).dcmread(path, force=True, stop_before_pixels=True) if is_dicom else None
        if data is None or not getattr(data, "Rows", 0):
            others += 1
            continue
        found.setdefault(str(getattr(data, "SeriesInstanceUID", "")), []).append((path, data))
    if not found:
        raise ImageError(f"{folder}: a folder without DICOM images. Give one file, or the folder of a series.")
    listed = {uid: described(uid, members) for uid, members in found.items()}
    uid, notes = choose(folder, found, series, listed), []
    if others:
        notes.append(f"left out {others} other file{'s' * (others > 1)} of the folder")
    notes += [f"left out the series {words}" for other, words in listed.items() if other != uid]
    images = [from_dataset(pydicom_or_advice(path).dcmread(path, force=True), path) for path, _ in found[uid]]
    if len(images) == 1:
        return replace(images[0], notes=(*images[0].notes, *notes))
    heads = [data for _, data in found[uid]]
    if not all(getattr(h, "ImagePositionPatient", None) and getattr(h, "ImageOrientationPatient", None) for h in heads):
        raise ImageError(f"{folder}: its slices do not say where they lie. Read them one by one.")
    slices = [Slice(tuple(map(float, head.ImagePositionPatient)), tuple(map(float, head.ImageOrientationPatient)),
                    str(getattr(head, "EchoTime", "") or ""), image) for head, image in zip(heads, images)]  # fmt: skip
    image = assemble(slices, folder, series)
    return replace(image, path=folder, notes=(*image.notes, *notes))


def described(uid: str, members: list) -> str:
    head = members[0][1]
    words = " ".join(str(getattr(head, name, "")) for name in ("Modality", "SeriesDescription")).strip()
    words = f"{words}{', ' * bool(words)}{head.Rows} × {head.Columns}, "
    return f"{uid} ({words}{len(members)} slice{'s' * (len(members) != 1)})"


def choose(folder: Path, found: dict, series: str | None, listed: dict) -> str:
    """By UID, SeriesNumber or SeriesDescription; without a choice the only one that is no scout."""
    if series is None:
        images = [uid for uid, members in found.items() if len(members) > 1
                  and "LOCALIZER" not in (getattr(members[0][1], "ImageType", None) or ())]  # fmt: skip
        names = images or list(found)
    else:
        wanted = str(series).split(" echo ")[0].strip()
        names = [
            uid
            for uid, ((_, head), *_) in found.items()
            if wanted in (uid, str(getattr(head, "SeriesNumber", None)), str(getattr(head, "SeriesDescription", "")))
        ]
        names = names or (list(found) if len(found) == 1 and str(series).startswith("echo ") else [])
    if len(names) != 1:
        raise ImageError(
            f"{folder}: holds {len(found)} series, choose one with series='...': {'; '.join(listed.values())}"
        )
    return names[0]
