"""Recognises pictures in false colours: grey values that were shown through a colour map."""

from functools import cache

import cv2
import numpy as np

from ..preprocessing.intensities import white_of

# The colour maps of matplotlib (and OpenCV) that have colours of their own. Maps of one hue, such
# as 'Blues', and grey ones with a tint, such as 'bone', are not looked for.
MAPS = (
    *("jet", "turbo", "rainbow", "gist_rainbow", "hsv", "Spectral", "brg", "gnuplot", "gnuplot2"),
    *("inferno", "magma", "plasma", "viridis", "cividis"),
    *("cool", "spring", "summer", "autumn", "winter", "coolwarm", "nipy_spectral"),
    *("hot", "afmhot", "CMRmap", "YlOrRd", "YlGnBu"),
)

# Red, green and blue of ImageJ's lookup table 'Fire', at 32 evenly spaced levels, from the method
# fire of its class LutLoader.
FIRE_RED = [0, 0, 1, 25, 49, 73, 98, 122, 146, 162, 173, 184, 195, 207, 217, 229, 240, 252]
FIRE_RED += [255] * 14
FIRE_GREEN = [0] * 13
FIRE_GREEN += [14, 35, 57, 79, 101, 117, 133, 147, 161, 175, 190, 205, 219, 234, 248] + [255] * 4
FIRE_BLUE = [0, 61, 96, 130, 165, 192, 220, 227, 210, 181, 151, 122, 93, 64, 35, 5] + [0] * 11
FIRE_BLUE += [35, 98, 160, 223, 255]
FIRE = np.array([FIRE_RED, FIRE_GREEN, FIRE_BLUE], np.float32).T

# About how many pixels are compared with the maps.
SAMPLE = 400

# A pixel has a map's colour if it is within this distance, from 0 to 255 in each channel.
REACH = 24.0

# A picture is in false colours if at least this share of its pixels, and of its coloured pixels,
# has the colours of one map. In 194 images of tissue and eyes, also with red and blue exchanged,
# it is at most 0.67.
LEAST_SHARE = 0.85

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
    knots = np.linspace(0, 1, len(FIRE))
    colours["Fire"] = np.stack([np.interp(levels, knots, FIRE[:, i]) for i in range(3)], axis=-1)
    return {name: values.astype(np.float32) for name, values in colours.items()}


def colour_map_of(pixels: np.ndarray) -> str | None:
    """Return the name of the colour map of a picture (H, W, 3) in false colours, or None."""
    step = max(1, round(np.sqrt(pixels.shape[0] * pixels.shape[1] / SAMPLE)))
    sample = np.nan_to_num(pixels[::step, ::step].reshape(-1, 3).astype(np.float32))
    white = white_of(pixels)
    sample = sample * np.float32(255 / white)
    coloured = sample[np.ptp(sample, axis=1) > LEAST_COLOUR]
    if len(coloured) < LEAST_COLOURED * len(sample) or not has_several_hues(coloured):
        return None

    maps = colours_of_maps()
    colours = np.stack(list(maps.values()))
    # |a - b|² = |a|² + |b|² - 2ab, for all pixels, maps and colours.
    products = sample @ colours.reshape(-1, 3).T
    squares = (colours**2).sum(axis=-1) - 2 * products.reshape(len(sample), *colours.shape[:2])
    nearest = squares.min(axis=-1) + (sample**2).sum(axis=-1)[:, None]
    has_colour_of_map = nearest < REACH**2
    shares = has_colour_of_map.mean(axis=0)

    # White, grey and black are colours of many maps, so that the coloured pixels must fit as well.
    is_coloured = np.ptp(sample, axis=1) > LEAST_COLOUR
    shares = np.minimum(shares, has_colour_of_map[is_coloured].mean(axis=0))
    best = int(shares.argmax())
    return list(maps)[best] if shares[best] >= LEAST_SHARE else None


def has_several_hues(coloured: np.ndarray) -> bool:
    """Return whether the hues of coloured pixels (N, 3), 0 to 255, are not all alike."""
    hues = cv2.cvtColor(np.clip(coloured, 0, 255)[None] / 255, cv2.COLOR_RGB2HSV)[0, :, 0]
    angles = np.deg2rad(hues)
    middle = np.arctan2(np.sin(angles).mean(), np.cos(angles).mean())
    from_middle = np.rad2deg(np.angle(np.exp(1j * (angles - middle))))
    low, high = np.percentile(from_middle, [1, 99])
    return bool(high - low > LEAST_SPREAD_OF_HUES)
