"""Recognises pictures in false colours: grey values that were shown through a colour map."""

from functools import cache

import cv2
import numpy as np

# The colour maps of matplotlib (and OpenCV) that are no ramp from black to white. Their colours are
# those of at most 62 % of the pixels of 67 images of tissue and eyes, also with red and blue
# exchanged. Maps that end in white, like 'hot', hold 92 % of pale tissue, and are not looked for.
MAPS = (
    *("jet", "turbo", "rainbow", "gist_rainbow", "hsv", "Spectral", "brg", "gnuplot"),
    *("inferno", "magma", "plasma", "viridis", "cividis"),
    *("cool", "spring", "summer", "autumn", "winter"),
)

# About how many pixels are compared with the maps.
SAMPLE = 400

# A pixel has a map's colour if it is within this distance, from 0 to 255 in each channel.
REACH = 24.0

# A picture is in false colours if at least this share of its pixels has the colours of one map: it
# is 0.92 or more in pictures of nuclei in jet and viridis that were compressed as JPEG 80.
LEAST_SHARE = 0.9

# A pixel is coloured if its channels differ by more than this; so are at least this share of the
# pixels, ...
LEAST_COLOUR = 40
LEAST_COLOURED = 0.02

# ... and their hues, in degrees, differ by more than this: light of one dye has one hue.
LEAST_SPREAD_OF_HUES = 30


@cache
def colours_of_maps() -> dict[str, np.ndarray]:
    """Return the colours of each map, (256, 3) from 0 to 255."""
    # Imported here, because `import unet_helpers` must not load matplotlib.
    from matplotlib import colormaps

    levels = np.linspace(0, 1, 256)
    colours = {name: 255 * colormaps[name](levels)[:, :3] for name in MAPS}
    return {name: values.astype(np.float32) for name, values in colours.items()}


def colour_map_of(pixels: np.ndarray) -> str | None:
    """Return the name of the colour map of a picture (H, W, 3) in false colours, or None."""
    step = max(1, round(np.sqrt(pixels.shape[0] * pixels.shape[1] / SAMPLE)))
    sample = np.nan_to_num(pixels[::step, ::step].reshape(-1, 3).astype(np.float32))
    white = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else max(sample.max(), 1e-6)
    sample = sample * np.float32(255 / white)
    if not has_several_hues(sample):
        return None

    maps = colours_of_maps()
    colours = np.stack(list(maps.values()))
    # |a - b|² = |a|² + |b|² - 2ab, for all pixels, maps and colours.
    products = sample @ colours.reshape(-1, 3).T
    squares = (colours**2).sum(axis=-1) - 2 * products.reshape(len(sample), *colours.shape[:2])
    nearest = squares.min(axis=-1) + (sample**2).sum(axis=-1)[:, None]
    shares = (nearest < REACH**2).mean(axis=0)
    best = int(shares.argmax())
    return list(maps)[best] if shares[best] >= LEAST_SHARE else None


def has_several_hues(sample: np.ndarray) -> bool:
    """Return whether enough of the pixels (N, 3), 0 to 255, are coloured, and not all alike."""
    coloured = sample[np.ptp(sample, axis=1) > LEAST_COLOUR]
    if len(coloured) < LEAST_COLOURED * len(sample):
        return False
    hues = cv2.cvtColor(np.clip(coloured, 0, 255)[None] / 255, cv2.COLOR_RGB2HSV)[0, :, 0]
    angles = np.deg2rad(hues)
    middle = np.arctan2(np.sin(angles).mean(), np.cos(angles).mean())
    from_middle = np.rad2deg(np.angle(np.exp(1j * (angles - middle))))
    low, high = np.percentile(from_middle, [1, 99])
    return bool(high - low > LEAST_SPREAD_OF_HUES)
