"""``MedicalImage``: pixels, axes, spacing and affine as stored; and the checks that every reader shares."""

import html
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ImageError

COLOURS = ("red", "green", "blue")
FAINT, ONE_HUE = (
    0.35,
    0.985,
)  # range over the strongest colour's, correlation with it; of 500 photographs in none
SAMPLE = 4_000_000  # values that are checked, evenly spread; enough for a share, and fast
MAX_VALUES = (
    2**29
)  # numbers in an image: 8192 x 8192 RGB and 512 x 512 x 1000 pass, a decompression bomb does not
BOMB_BYTES, BOMB_RATIO = (
    2**30,
    100,
)  # so many bytes from a file so many times smaller are zeros made to fill the memory


@dataclass(frozen=True, eq=False)
class MedicalImage:
    """An image, stack or volume as stored in its file."""

    pixels: np.ndarray  # native dtype; nothing is rescaled silently
    axes: str  # 'YX', 'ZYX', 'TYX' or 'TZYX', with a last 'C' where colour; 'XYZ' as nibabel gives NIfTI
    spacing: tuple[float, ...] | None = (
        None  # mm per step along each spatial axis, None where the file does not say
    )
    affine: np.ndarray | None = (
        None  # (4, 4) indices (x, y, z) to the header's unit (mm), to right, front and head
    )
    header: Any = None  # of a NIfTI file; of DICOM the file of each slice, by its index
    path: Path | None = None
    notes: tuple[str, ...] = ()  # what the reader saw and did
    modality: str = ""  # of DICOM: 'MR', 'CT', ...
    description: str = ""  # of DICOM: the name of its series
    oriented: bool = True  # False where a volume's file does not say how it lies in the body

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        return self.pixels.shape[: len(self.axes.rstrip("C"))]

    @property
    def channels(self) -> int:
        return self.pixels.shape[-1] if self.axes.endswith("C") else 1

    @property
    def is_single(self) -> bool:
        """One slice, as a photograph is, and not a stack, volume or movie."""
        return self.axes in ("YX", "YXC")

    @property
    def lies_in_space(self) -> bool:
        """A volume whose axes have a place in the body, or the order of NIfTI at least."""
        return self.affine is not None or self.axes.startswith("XYZ")

    @property
    def voxel_volume(self) -> float | None:
        """mm3 of a voxel: the determinant of the affine, so that a sheared series counts right; None if not known."""
        if self.spacing is None or len(self.spacing) != 3:
            return None
        steps = np.eye(3) if self.affine is None else self.affine[:3, :3]  # in the header's unit
        product, lengths = (
            float(np.prod(self.spacing)),
            float(np.prod(np.linalg.norm(steps, axis=0))),
        )
        return (
            product * abs(float(np.linalg.det(steps))) / lengths
            if 0 < lengths < np.inf
            else product
        )

    @property
    def name(self) -> str:
        """The file's name without its ending(s), for naming results."""
        return "array" if self.path is None else name_of(self.path)

    def facts(self) -> dict[str, str]:
        """What a person wants to know first; what a cell shows."""
        finite = (
            self.pixels[np.isfinite(self.pixels)] if self.pixels.dtype.kind == "f" else self.pixels
        )
        facts = {
            "image": self.path.name
            if self.path
            else "array",  # without its folders: notebooks are shared
            "size": " × ".join(map(str, self.spatial_shape))
            + f" ({', '.join(self.axes.rstrip('C').lower())})",
            "values": f"{self.pixels.dtype}, {finite.min():g} to {finite.max():g}"
            if finite.size
            else "none finite",
            "channels": str(self.channels),
            "spacing": " × ".join(f"{s:.4g}" for s in self.spacing) + " mm"
            if self.spacing
            else "not in the file",
        }
        said = {"note": self.notes, "warning": check_pixels(self.pixels, self.spatial_shape)}
        return facts | {
            f"{kind} {i}": line for kind, lines in said.items() for i, line in enumerate(lines, 1)
        }

    def __repr__(self) -> str:
        return "\n".join(f"{key:10} {value}" for key, value in self.facts().items())

    def _repr_html_(self) -> str:
        row = (
            "<tr><th style='text-align:left'>{}</th><td style='text-align:left'>{}</td></tr>".format
        )
        return f"<table>{''.join(row(html.escape(k), html.escape(v)) for k, v in self.facts().items())}</table>"


def name_of(path: Path) -> str:
    """A file's name without its ending(s)."""
    endings = (".nii.gz", ".ome.tiff", ".ome.tif", path.suffix)
    return path.name[
        : len(path.name) - len(next(e for e in endings if path.name.lower().endswith(e.lower())))
    ]


def from_array(pixels: np.ndarray, notes: tuple[str, ...] = (), name="The array") -> MedicalImage:
    """Axes by shape: two are 'YX', a third of 3 or 4 is colour, else 'ZYX'."""
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    colour = pixels.ndim > 2 and pixels.shape[-1] in (3, 4)
    if pixels.ndim - colour not in (2, 3):
        shapes = "(H, W), (H, W, 3), (Z, H, W) or (Z, H, W, 3)"
        raise ImageError(f"{name} has the shape {pixels.shape}, not that of an image: {shapes}.")
    notes += ("taken as 3 slices: colours would be its last axis",) * (
        len(pixels) == 3 == pixels.ndim and not colour
    )
    return MedicalImage(pixels, "ZYX"[colour - pixels.ndim :] + "C" * colour, notes=notes)


def noted(image: MedicalImage, *notes: str, **changes) -> MedicalImage:
    """With more notes, and other changes."""
    return replace(image, notes=(*image.notes, *notes), **changes)


def drop_idle_channels(image: MedicalImage) -> MedicalImage:
    """Without alpha, the last of two or four channels; grey where all light is of one hue, as of one dye."""
    if image.channels == 1:
        return image
    colour, notes = image.pixels, []
    if image.channels in (2, 4):
        colour, alpha = colour[..., :-1], colour[..., -1]
        clear = np.count_nonzero(alpha != alpha.max()) / alpha.size
        notes.append(
            "dropped the alpha channel" + (f" (it hid {clear:.0%} of the pixels)" if clear else "")
        )
    if colour.shape[-1] == 3 and (hue := only_hue(colour.reshape(-1, 3))) is not None:
        notes.append(
            f"nearly all light is of one hue, strongest in {COLOURS[hue]}: that is read as grey"
        )
        colour = colour[..., [hue]]
    pixels, axes = (
        (colour, image.axes) if colour.shape[-1] > 1 else (colour[..., 0], image.axes[:-1])
    )
    return noted(image, *notes, pixels=np.ascontiguousarray(pixels), axes=axes)


def only_hue(values: np.ndarray) -> int | None:
    """Which of (N, 3) colours holds the light of a single dye; on a dark ground others may be faint, or follow it."""
    live = np.flatnonzero(np.ptp(values, axis=0))
    sample = np.nan_to_num(values[:: max(1, values.size // SAMPLE)]).astype(np.float32)
    light = np.ptp(np.percentile(sample, [0.1, 99.9], axis=0), axis=0)
    if len(live) > 1 and 4 * np.median(sample.max(1)) < sample.max():
        alike = np.abs(np.corrcoef(sample[:, live].T)[light[live].argmax()])
        faint = (light[live] < FAINT * light.max()) | (
            (alike > ONE_HUE) & (light[live] < 0.9 * light.max())
        )
        live = live[~faint]
    return int(live[0]) if len(live) == 1 else None


def colour_alone(image: MedicalImage, channel: int | str) -> MedicalImage:
    """Red, green or blue alone, by its name or index."""
    known = dict(zip((*COLOURS, "0", "1", "2"), (0, 1, 2) * 2))
    if image.channels < 3 or (index := known.get(str(channel).lower())) is None:
        raise ImageError(
            f"{image.path}: there is no channel {channel!r} to choose; of colours, red, green or blue."
        )
    return noted(
        image, f"took {COLOURS[index]} alone", pixels=image.pixels[..., index], axes=image.axes[:-1]
    )


def checked(image: MedicalImage) -> MedicalImage:
    """Only numbers, some of them, without alpha; booleans become 0 and 1, long double and half precision single."""
    pixels, name = image.pixels, image.path or "The array"
    if pixels.dtype.kind not in "buif":
        raise ImageError(
            f"{name} holds {pixels.dtype} values, not numbers. Convert it to integers or floats."
        )
    if pixels.size == 0:
        raise ImageError(f"{name} has no pixels (shape {pixels.shape}).")
    if pixels.size > MAX_VALUES:
        raise ImageError(
            f"{name} has {pixels.size:,} values, more than {MAX_VALUES:,}. Cut it or try segment_large."
        )
    if image.spacing is not None and not all(
        np.isfinite(step) and step > 0 for step in image.spacing
    ):
        image = noted(image, f"ignored an impossible spacing of {image.spacing}", spacing=None)
    odd = pixels.dtype.kind == "f" and pixels.dtype.itemsize not in (4, 8)
    native = (
        np.uint8
        if pixels.dtype.kind == "b"
        else np.float32
        if odd
        else pixels.dtype.newbyteorder("=")
    )
    return drop_idle_channels(replace(image, pixels=pixels.astype(native, copy=False)))


def index_of(path: Path, what: str, index: int | None, count: int) -> int:
    """Of the frame, page, volume or level that was asked for, the first where none was; ImageError if there is none."""
    if not 0 <= (index or 0) < count:
        raise ImageError(f"{path}: has {what}s 0 to {count - 1}, there is no {what} {index}.")
    return index or 0


def ras_affine(steps, start) -> np.ndarray:
    """(4, 4), to right, front and head, of (3, 3) steps and a start that DICOM and ITK count to left, back and head."""
    return np.vstack([np.column_stack([steps, start]) * [[-1], [-1], [1]], [0, 0, 0, 1]])


def refuse_if_huge(path: Path, shape, promised: int = 0, held: float = 0) -> None:
    """Before decoding: a header can promise more values than a computer holds, or more bytes than ``held``."""
    if math.prod(map(int, shape)) > MAX_VALUES:
        sizes = " × ".join(map(str, shape))
        raise ImageError(
            f"{path}: says it is {sizes}, more than {MAX_VALUES:,} values. Cut it or try segment_large."
        )
    if promised > max(BOMB_BYTES, held * BOMB_RATIO):
        raise ImageError(
            f"{path}: unpacks to {promised:,} bytes of almost nothing. Cut or shrink it first."
        )


def check_pixels(pixels: np.ndarray, shape: tuple[int, ...]) -> list[str]:
    """Warnings about pixels of the spatial ``shape``, one sentence each; empty where all looks well."""
    values, warnings = pixels.reshape(-1)[:: max(1, pixels.size // SAMPLE)], []
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        share = 1 - np.isfinite(values).mean()
        warnings.append(
            f"{share:.1%} of the values are not finite (NaN or infinite); they count as 0."
        )
        values = values[np.isfinite(values)]
    if values.size == 0 or values.min() == values.max():
        return [
            *warnings,
            "all values are the same: there is nothing to see, and the answer will be empty.",
        ]
    if min(sides(shape)) < 16:
        warnings.append(
            "fewer than 16 pixels on a side: far too small for a network to see anything."
        )
    low, high = np.percentile(values, [0.5, 99.5])
    if high == low:
        warnings.append(
            "99 % of the values are the same: an almost empty image, or a mask instead of an image."
        )
    top = np.count_nonzero(values == values.max()) / values.size
    if high > low and top > 0.2 and len(np.unique(values[:100_000])) > 8:
        warnings.append(
            f"{top:.0%} of the values are at the maximum: overexposed or clipped; details are lost there."
        )
    if not ((values > values.min()) & (values < values.max())).any():
        warnings.append("only two different values: this looks like a mask, not like an image.")
    if (
        values.dtype.kind in "ui"
        and values.dtype.itemsize > 1
        and np.ptp(values.astype(np.int64)) < 32
    ):
        warnings.append("fewer than 32 grey levels in a 16-bit file: check how it was exported.")
    return warnings


def sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The two largest extents: those of a slice, wherever the file has its slices."""
    return tuple(sorted(shape)[-2:])


def shows_something(pixels: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Neither tiny, nor empty, nor a mask."""
    values = pixels.reshape(-1)[:: max(1, pixels.size // 100_000)]
    values = values[np.isfinite(values)]
    if values.size == 0 or min(sides(shape)) < 16:
        return False
    low, high = np.percentile(values, [0.5, 99.5])
    return bool(high > low and ((values > values.min()) & (values < values.max())).any())
