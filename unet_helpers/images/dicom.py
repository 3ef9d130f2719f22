"""DICOM: single files and multi-frame files; `dicom_series` puts slices and frames where they lie."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import ImageError
from .dicom_series import Slice, assemble
from .image import MedicalImage, index_of, noted, refuse_if_huge


def looks_like_dicom(start: bytes) -> bool:
    """With the preamble, whatever fills it, or a first data element of group 2 or 8 right away."""
    bare = start[:2] in (b"\x02\0", b"\x08\0") and start[3:4] == b"\0" and any(start[4:8])
    return start[128:132] == b"DICM" or bare


def header_of(path: Path, tags: list[str] | None = None):
    """All but the pixels, or only some tags; None where the file is not DICOM."""
    with path.open("rb") as file:
        if not looks_like_dicom(file.read(132)):
            return None
    import pydicom

    return pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=tags)


def read_dicom(path: Path, series: str | None = None, frame: int | None = None) -> MedicalImage:
    """One file: 'YX', 'YXC', or 'ZYX' where it holds several frames, sorted by their own positions."""
    import pydicom

    data = pydicom.dcmread(path, force=True)
    image, groups = from_dataset(data, path), data.get("PerFrameFunctionalGroupsSequence") or ()
    if frame is not None:
        frames = image.pixels if image.axes[0] in "TZ" else image.pixels[None]
        pixels, axes = frames[index_of(path, "frame", frame, len(frames))], image.axes.lstrip("TZ")
        spacing = image.spacing and image.spacing[-2:]
        words = f"took frame {frame} of {len(frames)}"
        return noted(image, words, pixels=pixels, axes=axes, spacing=spacing, header=None)
    if not 1 < len(groups) == len(image.pixels):
        return image
    slices = []
    for group, pixels in zip(groups, image.pixels):
        places = macros([group]) + macros(data.get("SharedFunctionalGroupsSequence") or ())
        spacing = first_of(places, "PixelSpacing")
        member = replace(
            image,
            pixels=pixels,
            axes=image.axes[1:],
            spacing=spacing and tuple(map(float, spacing)),
        )
        slices.append(slice_of(places, "EffectiveEchoTime", member))
    return assemble(slices, path, series) if all(slices) else image


def slice_of(places: list, echo: str, image: MedicalImage) -> Slice | None:
    """None where it does not say where it lies."""
    found = [first_of(places, name) for name in ("ImagePositionPatient", "ImageOrientationPatient")]
    position, turn = (tuple(map(float, numbers or ())) for numbers in found)
    return (
        Slice(position, turn, str(first_of(places, echo) or ""), image)
        if position and turn
        else None
    )


def macros(groups) -> list:
    """The data sets in functional groups, of a frame or shared by all."""
    return [
        element.value[0]
        for group in groups
        for element in group
        if element.VR == "SQ" and element.value
    ]


def first_of(places: list, *names: str):
    """The first of ``names`` that one of the data sets gives, else None."""
    return next(
        (value for value in (place.get(name) for name in names for place in places) if value), None
    )


def from_dataset(data, path: Path) -> MedicalImage:
    frames = int(data.get("NumberOfFrames") or 1)
    held = any(f"{kind}PixelData" in data for kind in ("", "Float", "DoubleFloat"))
    if not (held and data.get("Rows") and data.get("Columns")):
        raise ImageError(
            f"{path}: a DICOM file without an image (report, structure set, ...). Choose another one."
        )
    samples = int(data.get("SamplesPerPixel", 1))
    refuse_if_huge(path, (frames, data.Rows, data.Columns, samples))
    try:
        pixels, notes = data.pixel_array, []
    except (RuntimeError, NotImplementedError) as error:
        if "plugin" not in str(error) and "package" not in str(error):
            raise
        advice = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
        kind = data.file_meta.TransferSyntaxUID.name
        raise ImageError(
            f"{path}: its compression ({kind}) needs more packages: {advice}"
        ) from error
    photometric, colour = str(data.get("PhotometricInterpretation", "")), samples == 3
    if colour and photometric.startswith("YBR"):
        notes.append("converted from YBR to RGB")  # by pydicom
    if photometric == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        pixels, colour = apply_color_lut(pixels, data)[..., :3], True
        notes.append("expanded the colour palette")
    inverse = (
        str(data.get("PresentationLUTShape", "")) == "INVERSE" and photometric == "MONOCHROME2"
    )
    if photometric == "MONOCHROME1" or inverse:
        top = -1 if data.PixelRepresentation else 2**data.BitsStored - 1
        pixels = pixels.dtype.type(top) - pixels  # the same in every slice of a series
        notes.append("inverted: the file stores white as the lowest value")
    places = [data, *macros(data.get("SharedFunctionalGroupsSequence") or ())]
    slope, shift = (
        float(first_of(places, "RescaleSlope") or 1),
        float(first_of(places, "RescaleIntercept") or 0),
    )
    if (slope, shift) != (1, 0):
        pixels = pixels.astype(np.float32) * np.float32(slope) + np.float32(shift)
        notes.append(f"values scaled by {slope:g} and shifted by {shift:g}, as the file says")
    across = first_of(places, "PixelSpacing", "ImagerPixelSpacing")
    spacing = tuple(map(float, across)) if across else None
    film = any(data.get(name) for name in ("FrameTime", "FrameTimeVector", "CineRate"))
    if spacing and frames > 1 and not film:
        depth = first_of(places, "SpacingBetweenSlices", "SliceThickness")
        spacing = (float(depth), *spacing) if depth else None
    axes = ("T" if film else "Z") * (frames > 1) + "YX" + "C" * colour
    told = {
        "modality": str(data.get("Modality", "")),
        "description": str(data.get("SeriesDescription", "")),
    }
    return MedicalImage(
        pixels, axes, spacing, header={0: path}, path=path, notes=tuple(notes), **told
    )


def read_dicom_folder(folder: Path, series: str | None = None) -> MedicalImage:
    """One series of a folder and all folders in it; what else lies there is said, and several raise ImageError."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    heads = [head for head in map(header_of, files) if head is not None and head.get("Rows")]
    if not heads:
        raise ImageError(
            f"{folder}: a folder, but not of a DICOM series. Give one file, or try segment_folder."
        )
    import pydicom

    found: dict[str, list] = {}
    for head in heads:
        found.setdefault(str(head.get("SeriesInstanceUID", "")), []).append(head)
    listed = {}
    for uid, (head, *more) in found.items():
        words = " ".join(
            str(head.get(name, "")) for name in ("Modality", "SeriesDescription")
        ).strip()
        size = f"{words}{', ' * bool(words)}{head.Rows} × {head.Columns}"
        listed[uid] = f"{uid} ({size}, {1 + len(more)} slice{'s' * bool(more)})"
    uid, others = choose(folder, found, series, listed), len(files) - len(heads)
    notes = [f"left out {others} other file{'s' * (others > 1)} of the folder"] if others else []
    notes += [f"left out the series {words}" for other, words in listed.items() if other != uid]
    paths = [Path(head.filename) for head in found[uid]]
    images = [from_dataset(pydicom.dcmread(path, force=True), path) for path in paths]
    if len(images) == 1:
        return noted(images[0], *notes)
    slices = [slice_of([head], "EchoTime", image) for head, image in zip(found[uid], images)]
    if not all(slices):
        raise ImageError(f"{folder}: its slices do not say where they lie. Read them one by one.")
    return noted(assemble(slices, folder, series), *notes, path=folder)


def choose(folder: Path, found: dict, series: str | None, listed: dict) -> str:
    """By UID, SeriesNumber or SeriesDescription; without a choice the only one that is no scout."""
    wanted, names = str(series).split(" echo ")[0].strip(), []
    for uid, heads in found.items():
        called = (
            uid,
            str(heads[0].get("SeriesNumber")),
            str(heads[0].get("SeriesDescription", "")),
        )
        scout = len(heads) == 1 or "LOCALIZER" in (heads[0].get("ImageType") or ())
        names += [uid] if (not scout if series is None else wanted in called) else []
    if not names and (series is None or str(series).startswith("echo ")):
        names = list(found)
    if len(names) != 1:
        words = "; ".join(listed.values())
        raise ImageError(
            f"{folder}: holds {len(found)} series, choose one with series='...': {words}"
        )
    return names[0]
