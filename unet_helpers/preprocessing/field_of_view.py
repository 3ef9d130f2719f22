"""The field of view of a fundus photograph, and flat illumination inside it."""

import cv2
import numpy as np
import scipy

from .resample import resize, resize_labels

THUMBNAIL = 512  # px: longer side at which the field of view is found


def field_of_view(pixels: np.ndarray) -> np.ndarray:
    """The lit disc or discs of a fundus photograph (H, W[, 3]), (H, W) bool; all True where there is no dark surround.

    The surround is what the corners show; it may be grey or noisy, and the disc cut off at top and bottom. Discs in
    dark rings are eyes. Red is looked at, in which every retina is bright; a disc is convex, shadows at its rim count.
    """
    light = np.nan_to_num((pixels[..., 0] if pixels.ndim == 3 else pixels).astype(np.float32))
    shape = tuple(max(1, round(n * min(1, THUMBNAIL / max(light.shape)))) for n in light.shape)
    thumbnail = cv2.GaussianBlur(resize(light, shape), (0, 0), 1.5)
    side = max(2, round(0.03 * max(shape)))
    corners = np.concatenate([np.rot90(thumbnail, turn)[:side, :side].ravel() for turn in range(4)])
    dark = float(np.percentile(corners, 25))
    noise = 1.4826 * float(
        np.median(np.abs(corners[corners <= np.median(corners)] - dark))
    )  # as a standard deviation
    rows, columns = (slice(n // 4, n - n // 4) for n in shape)
    bright = float(np.percentile(thumbnail[rows, columns], 75))
    if (discs := discs_in_a_lens(thumbnail)) is not None:
        return resize_labels(discs, light.shape) > 0
    if bright - dark < max(6 * noise, 0.3 * bright):
        return np.ones(light.shape, bool)
    lit = (thumbnail > dark + max(4 * noise, 0.2 * (bright - dark))).astype(np.uint8)
    lit = cv2.morphologyEx(
        lit, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8)
    )  # the label in a corner is not the eye
    _, parts, stats, _ = cv2.connectedComponentsWithStats(lit)
    if not lit.any():
        return np.ones(light.shape, bool)
    areas, discs = stats[1:, cv2.CC_STAT_AREA], np.zeros_like(lit)
    for i in np.flatnonzero(areas >= areas.max() / 2):  # two eyes may lie side by side
        edges, _ = cv2.findContours(
            (parts == i + 1).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.fillConvexPoly(discs, cv2.convexHull(max(edges, key=len)), 1)
    discs[thumbnail <= dark + max(3 * noise, 0.08 * (bright - dark))] = (
        0  # a notch in the disc is no part of it
    )
    edges, _ = cv2.findContours(discs, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(discs, edges, -1, 1, thickness=cv2.FILLED)  # but dark vessels are
    discs = cv2.erode(
        discs, np.ones((5, 5), np.uint8), borderValue=1
    )  # the rim's own shadow looks like a vessel
    return resize_labels(discs, light.shape) > 0


class FieldsOfView:
    """The fields of view of a stack's slices (N, H, W[, 3]); each is found once, when first asked for."""

    def __init__(self, slices: np.ndarray) -> None:
        self.slices = slices
        self.by_index: dict[int, np.ndarray] = {}

    def __getitem__(self, index: int) -> np.ndarray:
        """(H, W) bool."""
        if index not in self.by_index:
            self.by_index[index] = field_of_view(self.slices[index])
        return self.by_index[index]


def discs_in_a_lens(thumbnail: np.ndarray) -> np.ndarray | None:
    """(h, w) uint8: round bright parts in dark rings, where rims or a room around are bright, too; None without."""
    rows, columns = np.ogrid[: thumbnail.shape[0], : thumbnail.shape[1]]
    for level in np.percentile(thumbnail, 99) * np.array((0.25, 0.4)):
        lit = (thumbnail > level).astype(np.uint8)
        discs, near = np.zeros_like(lit), np.zeros(lit.shape, bool)
        for x, y, w, h, area in cv2.connectedComponentsWithStats(lit)[2][1:].tolist():
            if min(x, y, columns.size - x - w, rows.size - y - h) < 2 or min(w, h) < 0.7 * max(
                w, h
            ):
                continue
            distance = np.hypot(
                (rows - y - (h - 1) / 2) / (h / 2), (columns - x - (w - 1) / 2) / (w / 2)
            )
            ring = thumbnail[(distance > 1.05) & (distance < 1.15)]
            full = area > max(0.02 * lit.size, 0.7 * w * h) and ring.size
            if full and np.median(ring) < 0.4 * np.median(thumbnail[distance < 1]):
                discs[distance < 0.97], near[distance < 1.15] = 1, True
        if near.any() and np.count_nonzero(lit[~near]) > 0.01 * lit.size:
            return discs
    return None


def width_of(inside: np.ndarray) -> int:
    """The larger side in pixels of the largest region: the diameter of a field of view, even a cropped one."""
    stats = cv2.connectedComponentsWithStats(inside.astype(np.uint8))[2][1:].tolist()
    return max((area, max(width, height)) for _, _, width, height, area in stats)[1] if stats else 1


def box_of(inside: np.ndarray) -> tuple[slice, ...]:
    """The rows and columns (and slices) that hold all of a mask; everything where it is empty."""
    return (
        scipy.ndimage.find_objects(inside.astype(np.uint8))
        or [tuple(slice(0, n) for n in inside.shape)]
    )[0]


def flatten_illumination(pixels: np.ndarray, inside: np.ndarray, sigma: float) -> np.ndarray:
    """Local z-score inside the field of view, brought to about 0 to 1; cameras and exposures then look alike."""
    region = inside.astype(np.float32)
    blur = lambda a: cv2.GaussianBlur(a, (0, 0), sigma)
    weight = np.maximum(blur(region), 1e-3)
    light = np.nan_to_num(pixels.astype(np.float32))
    mean = blur(light * region) / weight
    deviation = (light - mean) * region
    spread = np.sqrt(blur(deviation**2) / weight)
    floor = (
        0.25 * float(np.median(spread[inside])) if inside.any() else 0.0
    )  # do not turn noise into vessels
    return np.clip(0.5 + deviation / (6 * np.maximum(spread, floor) + 1e-6), 0, 1)
