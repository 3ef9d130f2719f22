"""A result for other programs: QuPath, ImageJ, 3D Slicer, ITK-SNAP and spreadsheets, one function for each."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import shapely
from PIL import ImageColor
from scipy.ndimage import find_objects

from ..errors import SaveError
from ..images.stack import as_displayed, in_affine_order
from ..version import __version__
from .measurements import classes_of


def export(result, path: Path, overwrite: bool = False) -> Path:
    """Write a ``Segmentation`` to ``path`` in the format of its ending; the file is written whole or not at all."""
    ending = next((ending for ending in EXPORTS if path.name.lower().endswith(ending)), None)
    if ending is None:
        raise SaveError(
            f"{path}: no format ends so. Choose a name that ends in {', '.join(EXPORTS)}."
        )
    with made_aside(path, path.parent, overwrite) as aside:
        EXPORTS[ending](result, aside / path.name)
    return path


@contextmanager
def made_aside(target: Path, folder: Path, overwrite: bool) -> Iterator[Path]:
    """A folder to write to; when the block ends without an error, what lies there moves to ``folder``, .json last."""
    if target.exists() and not overwrite:
        raise SaveError(f"{target} exists already: pass overwrite=True or another name.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".saving-") as aside:
            yield Path(aside)
            for made in sorted(Path(aside).iterdir(), key=lambda made: made.suffix == ".json"):
                made.replace(folder / made.name)
    except OSError as error:
        raise SaveError(
            f"{target}: nothing was saved ({error}). Is the disk full or protected?"
        ) from error
    except ModuleNotFoundError as error:
        raise SaveError(
            f"{target}: this format needs one more package: pip install {error.name}"
        ) from error


def outlined(result) -> Iterator[tuple[int, int, int, list]]:
    """Object id, point in time, slice as displayed, and the polygons of the object there."""
    stack = as_displayed(result.image, result.objects)
    depth = len(stack) // (len(result.image.pixels) if result.image.axes.startswith("T") else 1)
    for i, ids in enumerate(stack):
        for number, box in enumerate(find_objects(ids), 1):
            if box is not None:
                y, x = (part.start for part in box)
                shapes = [
                    [[(a + x, b + y) for a, b in ring] for ring in p]
                    for p in polygons(ids[box] == number)
                ]
                yield number, i // depth, i % depth, shapes


def polygons(mask: np.ndarray) -> list[list[list[tuple[int, int]]]]:
    """Polygons of an (H, W) mask, each its outer ring and then its holes: closed (x, y) corners, pixel (0, 0) being
    the square from (0, 0) to (1, 1), so that their area is the number of pixels.
    """
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (rows, starts), (_, ends) = np.nonzero(steps == 1), np.nonzero(steps == -1)  # runs of px
    pieces = shapely.get_parts(shapely.union_all(shapely.box(starts, rows, ends, rows + 1)))
    rings = [[part.exterior, *part.interiors] for part in shapely.simplify(pieces, 0)]
    return [[[(int(x), int(y)) for x, y in ring.coords] for ring in part] for part in rings]


def named(result) -> list[tuple[str, tuple[int, int, int]]]:
    """Name and colour of each object by its id: those of its class, or the card's where objects have no class."""
    card, classes = result.card, classes_of(result)
    colors = [ImageColor.getrgb(color)[:3] for color in card.colors]
    if classes is None:
        return [(card.title, colors[0])] * (int(result.objects.max()) + 1)
    return [(card.classes[max(i, 1) - 1], colors[max(i, 1) - 1]) for i in classes.astype(int)]


def write_geojson(result, path: Path):
    """One annotation per object and slice in QuPath's GeoJSON: x and y in px of the displayed slice, with holes."""
    names, features = named(result), []
    for number, frame, index, shapes in outlined(result):
        single = len(shapes) == 1
        geometry = {
            "type": "Polygon" if single else "MultiPolygon",
            "coordinates": shapes[0] if single else shapes,
        }
        if not result.image.is_single:
            geometry["plane"] = {"c": -1, "z": index, "t": frame}
        kind = dict(zip(("name", "color"), names[number]))
        properties = {
            "objectType": "annotation",
            "name": f"Object {number}",
            "object": number,
            "classification": kind,
        }
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def write_rois(result, path: Path):
    """A .zip of ImageJ ROIs, one per object and slice; those with holes or several pieces are composite."""
    from roifile import ROI_TYPE, ImagejRoi, roiwrite

    names, rois = named(result), []
    for number, frame, index, shapes in outlined(result):
        lines = [np.array(ring[:-1], np.int32) for polygon in shapes for ring in polygon]
        roi = ImagejRoi.frompoints(lines[0])
        roi.right, roi.bottom = roi.right - 1, roi.bottom - 1  # roifile takes corners for pixels
        if len(lines) > 1:  # ImageJ's shape path: 0 moves, 1 draws a line, 4 closes
            corners = np.concatenate(lines)
            box = dict(
                zip(
                    ("left", "top", "right", "bottom"),
                    (*corners.min(0).tolist(), *corners.max(0).tolist()),
                )
            )
            drawn = [np.insert(line, 0, np.arange(len(line)) > 0, axis=1) for line in lines]
            shape = np.concatenate([np.append(steps, 4) for steps in drawn]).astype(np.float32)
            roi = ImagejRoi(
                roitype=ROI_TYPE.RECT, **box, shape_roi_size=len(shape), multi_coordinates=shape
            )
        roi.name, roi.stroke_color = f"{number:05d}", bytes((255, *names[number][1]))
        if not result.image.is_single:
            roi.position, roi.z_position, roi.t_position = index + 1, index + 1, frame + 1
            roi.name += f"-{frame + 1:04d}-{index + 1:04d}"
        rois.append(roi)
    path.unlink(missing_ok=True)
    roiwrite(path, rois, mode="w")


def in_space(result) -> tuple[np.ndarray, np.ndarray]:
    """Labels as (X, Y, Z) and the affine to mm, right, front and head; without one the spacing, or px, is taken."""
    image, labels = result.image, result.labels
    if image.axes.startswith("T"):
        raise SaveError("A movie has no place in space: export it as .geojson, .roi.zip or .csv.")
    labels = in_affine_order(image, labels[None] if labels.ndim == 2 else labels)
    if image.affine is not None and np.isfinite(image.affine).all():
        return labels, np.asarray(image.affine, float)
    x, y, z = (*(image.spacing or ())[:: 1 if image.axes.startswith("X") else -1], 1.0, 1.0, 1.0)[
        :3
    ]
    return labels, np.diag([-x, -y, z, 1.0])  # rows go down and columns to the left in RAS


def write_seg_nrrd(result, path: Path):
    """A segmentation of 3D Slicer: labels with the geometry in LPS, and each class's name and colour."""
    import slicerio

    labels, affine = in_space(result)
    named = enumerate(zip(result.card.classes, result.card.colors, strict=True), 1)
    segments = [
        {
            "id": f"Segment_{i}",
            "labelValue": i,
            "layer": 0,
            "name": name,
            "nameAutoGenerated": False,
            "color": [value / 255 for value in ImageColor.getrgb(color)[:3]],
            "colorAutoGenerated": False,
        }
        for i, (name, color) in named
    ]
    to_lps = (
        np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    )  # NIfTI counts to the right and front, Slicer's files the reverse
    made = {"voxels": np.ascontiguousarray(labels), "ijkToLPS": to_lps, "segments": segments}
    slicerio.write_segmentation(str(path), made, index_order="F")


def write_nifti_labels(result, path: Path):
    """NIfTI labels, and beside them ``NAME_labels.txt`` with names and colours as ITK-SNAP loads them."""
    import nibabel as nib

    labels, affine = in_space(result)
    file = nib.Nifti1Image(labels, affine)
    file.header.set_xyzt_units("mm")
    nib.save(file, path)
    colors = ["{} {} {}".format(*ImageColor.getrgb(color)) for color in result.card.colors]
    rows = [
        f'{i} {colors[i - 1]} 1 1 1 "{name}"\n' for i, name in enumerate(result.card.classes, 1)
    ]
    beside = path.with_name(path.name[: -len(".nii.gz")] + "_labels.txt")
    beside.write_text('0 0 0 0 0 0 0 "Clear Label"\n' + "".join(rows))


def write_dicom_seg(result, path: Path):
    """A DICOM segmentation (SEG) of the slices that were read, by highdicom: labels of each class, with its name."""
    import highdicom
    import pydicom
    from pydicom.sr.codedict import codes

    files = result.image.header if isinstance(result.image.header, dict) else {}
    if not files or len(set(files.values())) < len(files):
        raise SaveError(
            f"{path.name}: only where the input was DICOM files of one slice each. Choose another format."
        )
    sources = [pydicom.dcmread(file, force=True) for file in files.values()]
    labels = result.labels.reshape(-1, *result.labels.shape[-2:])
    labels = labels[list(files)] if len(files) > 1 else labels
    known = result.card.name, codes.DCM.ArtificialIntelligence, __version__
    algorithm = highdicom.AlgorithmIdentificationSequence(*known)
    kind = codes.SCT.AnatomicalStructure, codes.SCT.BodyStructure, "AUTOMATIC", algorithm
    names = [
        highdicom.seg.SegmentDescription(i, name, *kind)
        for i, name in enumerate(result.card.classes, 1)
    ]
    maker = (
        highdicom.UID(),
        1,
        highdicom.UID(),
        1,
        "unet_helpers",
        result.card.name,
        __version__,
        "0",
    )
    try:
        highdicom.seg.Segmentation(sources, labels, "BINARY", names, *maker).save_as(path)
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:  # what it asks of its sources
        raise SaveError(
            f"{path.name}: no DICOM segmentation of these files ({error}). Try another format."
        ) from error


EXPORTS = {
    ".geojson": write_geojson,
    ".roi.zip": write_rois,
    ".seg.nrrd": write_seg_nrrd,
    ".nii.gz": write_nifti_labels,
    ".dcm": write_dicom_seg,
    ".csv": lambda result, path: result.measure().to_csv(path, index=False),
}
