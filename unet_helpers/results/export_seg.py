"""A result as a DICOM segmentation (SEG), written by highdicom.

highdicom takes the patient, the study and the geometry from the data sets of the slices that were
read. Files often lack some of it, and frames of one file are no data sets. So each slice or frame
gets a stand-in, a complete header of a single image; then the references to the stand-ins are
replaced by references to the files and frames.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SaveError
from ..images.dicom_geometry import SourceFrame
from ..images.dicom_tags import contents_of_frames, first_given, first_text, shared_contents
from ..version import __version__
from .named_labels import NamedLabels, named_labels

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset

    from .segmentation import Segmentation

# Attributes that DICOM requires in a file, but allows to be empty. De-identified files lack them.
MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)

# The values of PatientSex that DICOM knows.
SEXES = ("M", "F", "O")

# Groups of attributes of whole files that a header of one image has no use for.
NOT_OF_A_SLICE = (
    "PerFrameFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence",
    "NumberOfFrames",
    "DimensionIndexSequence",
    "DimensionOrganizationSequence",
)

# mm: what is written where a file gives no size of a pixel or thickness of a slice.
UNKNOWN_SIZE = 1.0


@dataclass(frozen=True, eq=False)
class StandIn:
    """The header of one slice as highdicom needs it, and what it stands for."""

    header: Dataset
    source: SourceFrame

    # Identity of the file that was read.
    sop_class: str
    sop_instance: str
    series: str


def write_dicom_seg(result: Segmentation, path: Path) -> None:
    """Write a DICOM segmentation (SEG) of the slices or frames that were read."""
    import highdicom

    slices = slices_read(result, path)
    named = named_labels(result)
    labels = labels_by_slice(result, named)
    if len(slices) > 1:
        # Slices that were missing in the series have no file: leave out their labels.
        labels = labels[list(slices)]

    try:
        stand_ins = stand_ins_of(list(slices.values()))
        segmentation = highdicom.seg.Segmentation(
            source_images=[stand_in.header for stand_in in stand_ins],
            pixel_array=labels,
            segmentation_type="BINARY",
            segment_descriptions=segment_descriptions(result, named.names),
            series_instance_uid=highdicom.UID(),
            series_number=1,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="unet_helpers",
            manufacturer_model_name=result.card.name,
            software_versions=__version__,
            device_serial_number="0",
        )
        refer_to_files(segmentation, stand_ins)
        segmentation.save_as(path)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # The source files lack an attribute that highdicom needs.
        raise SaveError(
            f"{path.name}: no DICOM segmentation of these files ({error}). Try another format."
        ) from error


def labels_by_slice(result: Segmentation, named: NamedLabels) -> np.ndarray:
    """Return labels (slices, H, W); of classes that overlap masks (slices, H, W, classes)."""
    height, width = named.values.shape[-2:]
    if not result.card.overlapping:
        return named.values.reshape(-1, height, width)
    masks = [mask.reshape(-1, height, width) for mask in result._masks]
    return np.stack(masks, axis=-1).astype(np.uint8)


def slices_read(result: Segmentation, path: Path) -> dict[int, SourceFrame]:
    """Return the file and frame of each slice; SaveError if they are no slices of DICOM files."""
    header = result.image.header
    slices: dict[int, SourceFrame] = header if isinstance(header, dict) else {}
    is_single = result.labels.ndim == 2
    if not slices or (len(slices) == 1 and not is_single):
        raise SaveError(
            f"{path.name}: only where the input was DICOM files of one slice each, or of frames "
            "with positions. Choose another format, or read one frame of a film with frame=."
        )
    return slices


def stand_ins_of(slices: list[SourceFrame]) -> list[StandIn]:
    """Read the headers of the files, and make a stand-in for each slice.

    All get the orientation and the series of the first: highdicom refuses others, but direction
    cosines may differ by rounding, and the slices of a volume may have a UID each.
    """
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    # Files of many frames are read once.
    headers: dict[Path, Dataset] = {}
    for source in slices:
        if source.path not in headers:
            headers[source.path] = dcmread(source.path, force=True, stop_before_pixels=True)

    stand_ins = [stand_in_for(headers[source.path], source) for source in slices]
    first = stand_ins[0].header
    frame_of_reference = first.get("FrameOfReferenceUID") or generate_uid()
    for stand_in in stand_ins:
        header = stand_in.header
        header.SeriesInstanceUID = first.SeriesInstanceUID
        header.StudyInstanceUID = first.StudyInstanceUID
        if "ImagePositionPatient" in header:
            header.FrameOfReferenceUID = frame_of_reference
            header.ImageOrientationPatient = first.ImageOrientationPatient
        elif "FrameOfReferenceUID" in header:
            # A single image has no place in it without a position.
            del header.FrameOfReferenceUID
    return stand_ins


def stand_in_for(data: Dataset, source: SourceFrame) -> StandIn:
    """Make the header of one slice or frame; ValueError if the file lacks an identity."""
    from pydicom import Dataset
    from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

    frame = source.frame or 0
    frames = contents_of_frames(data)
    contents = frames[frame] if frames else [*shared_contents(data), data]
    identity = {
        name: first_text([data, getattr(data, "file_meta", data)], *names)
        for name, names in {
            "StudyInstanceUID": ("StudyInstanceUID",),
            "SeriesInstanceUID": ("SeriesInstanceUID",),
            "SOPInstanceUID": ("SOPInstanceUID", "MediaStorageSOPInstanceUID"),
            "SOPClassUID": ("SOPClassUID", "MediaStorageSOPClassUID"),
        }.items()
    }
    missing = [name for name, value in identity.items() if not value]
    if missing:
        raise ValueError(f"{source.path.name} has no {' and no '.join(missing)}")

    header = Dataset()
    for element in data:
        if element.keyword not in NOT_OF_A_SLICE:
            # A new element, because frames of one file would share the old one.
            header.add_new(element.tag, element.VR, element.value)
    complete(header)
    add_geometry(header, contents)
    # Classes differ in what highdicom asks of them: this one needs the least.
    header.SOPClassUID = SecondaryCaptureImageStorage
    header.SOPInstanceUID = generate_uid()
    return StandIn(
        header,
        source,
        sop_class=identity["SOPClassUID"],
        sop_instance=identity["SOPInstanceUID"],
        series=identity["SeriesInstanceUID"],
    )


def complete(header: Dataset) -> None:
    """Add what is missing and may be empty, and empty what is no valid sex, date or time."""
    from pydicom.valuerep import DA, TM

    for name in MAY_BE_EMPTY:
        if header.get(name) is None:
            setattr(header, name, "")
    if header.PatientSex not in SEXES:
        header.PatientSex = ""
    if not header.get("Modality"):
        header.Modality = "OT"

    for name, kind in (("PatientBirthDate", DA), ("StudyDate", DA), ("StudyTime", TM)):
        try:
            kind(header.get(name))
        except (TypeError, ValueError):
            setattr(header, name, "")


def add_geometry(header: Dataset, contents: list[Dataset]) -> None:
    """Set position, orientation and size of a pixel as the frame has them; without it, none."""
    position = first_given(contents, "ImagePositionPatient")
    orientation = first_given(contents, "ImageOrientationPatient")
    spacing = first_given(contents, "PixelSpacing", "ImagerPixelSpacing")
    if spacing:
        header.PixelSpacing = spacing
    if not position or not orientation:
        for name in ("ImagePositionPatient", "ImageOrientationPatient"):
            if name in header:
                delattr(header, name)
        return

    header.ImagePositionPatient = position
    header.ImageOrientationPatient = orientation
    header.PixelSpacing = spacing or [UNKNOWN_SIZE, UNKNOWN_SIZE]
    header.SliceThickness = first_given(contents, "SliceThickness") or UNKNOWN_SIZE


def refer_to_files(segmentation: Dataset, stand_ins: list[StandIn]) -> None:
    """Replace the references to stand-ins by those to the files and frames that were read."""
    from pydicom import Dataset

    by_instance = {str(one.header.SOPInstanceUID): one for one in stand_ins}
    groups = (*segmentation.SharedFunctionalGroupsSequence, *frame_groups_of(segmentation))
    for reference in references_in(groups):
        stand_in = by_instance.get(str(reference.ReferencedSOPInstanceUID))
        if stand_in is None:
            # Segments share their references, so this one is replaced already.
            continue
        reference.update(reference_to(stand_in))
        if stand_in.source.frame is not None:
            # DICOM counts frames from 1.
            reference.ReferencedFrameNumber = stand_in.source.frame + 1

    # Each file once, in the series that it belongs to.
    by_file = {stand_in.sop_instance: stand_in for stand_in in stand_ins}
    by_series = defaultdict(list)
    for stand_in in by_file.values():
        by_series[stand_in.series].append(reference_to(stand_in))
    segmentation.SourceImageSequence = [reference_to(one) for one in by_file.values()]
    segmentation.ReferencedSeriesSequence = []
    for uid, references in by_series.items():
        series = Dataset()
        series.SeriesInstanceUID = uid
        series.ReferencedInstanceSequence = references
        segmentation.ReferencedSeriesSequence.append(series)


def frame_groups_of(segmentation: Dataset) -> Iterable[Dataset]:
    """Return what the segmentation says about each of its frames."""
    groups: Iterable[Dataset] = segmentation.get("PerFrameFunctionalGroupsSequence") or ()
    return groups


def reference_to(stand_in: StandIn) -> Dataset:
    """Make a reference to the file that was read."""
    from pydicom import Dataset

    reference = Dataset()
    reference.ReferencedSOPClassUID = stand_in.sop_class
    reference.ReferencedSOPInstanceUID = stand_in.sop_instance
    return reference


def references_in(datasets: Iterable[Dataset]) -> Iterator[Dataset]:
    """Yield what refers to an image, at any depth of the data sets."""
    for dataset in datasets:
        if "ReferencedSOPInstanceUID" in dataset:
            yield dataset
        for element in dataset:
            if element.VR == "SQ":
                yield from references_in(element.value)


def segment_descriptions(result: Segmentation, names: tuple[str, ...]) -> list[SegmentDescription]:
    """Return DICOM's description of each label: its name, and that this network found it."""
    import highdicom
    from pydicom.sr.codedict import codes

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=result.card.name, family=codes.DCM.ArtificialIntelligence, version=__version__
    )
    return [
        highdicom.seg.SegmentDescription(
            segment_number=label,
            segment_label=name,
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=codes.SCT.BodyStructure,
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
        )
        for label, name in enumerate(names, 1)
    ]
