"""Simple filters of an image at several scales: brightness, edges, ridges and texture.

They are those that interactive pixel classifiers use (Sommer et al. 2011, ilastik, ISBI, p. 230;
Arganda-Carreras et al. 2017, Trainable Weka Segmentation, Bioinformatics 33:2424). Each scale is
computed on an image of half the size of the one before it, so that wide filters are cheap.
"""

import cv2
import numpy as np

# Number of scales: px of 1, 2, 4, 8 and 16 px of the image.
SCALES = 5

# Filters of the brightness at each scale, in addition to the smoothed channels.
FILTERS_OF_BRIGHTNESS = 6

# px of a scale: standard deviations of the smoothing, and of the window in which the structure
# tensor and the variation are averaged.
SMOOTHING = 1.0
WINDOW = 2.0


def channels_of_scale(in_channels: int) -> int:
    """Return the number of filters at each scale, for an image of so many channels."""
    return in_channels + FILTERS_OF_BRIGHTNESS


def filter_pyramid(pixels: np.ndarray) -> list[np.ndarray]:
    """Filter (C, H, W) float32 at each scale: a list of (C + 6, H / 2**i, W / 2**i).

    H and W must be multiples of 2 ** (SCALES - 1).
    """
    pyramid = []
    for scale in range(SCALES):
        if scale:
            pixels = halved(pixels)
        pyramid.append(filters_at_one_scale(pixels))
    return pyramid


def halved(pixels: np.ndarray) -> np.ndarray:
    """Return (C, H / 2, W / 2): smoothed, then the mean of each 2 x 2 px."""
    height, width = pixels.shape[1:]
    half = (width // 2, height // 2)
    smaller = [
        cv2.resize(smoothed(channel), half, interpolation=cv2.INTER_AREA) for channel in pixels
    ]
    return np.stack(smaller)


def filters_at_one_scale(pixels: np.ndarray) -> np.ndarray:
    """Return the smoothed channels, then the filters of the brightness: (C + 6, H, W).

    The filters are the magnitude of the gradient, both eigenvalues of the matrix of second
    derivatives (their sum is the Laplacian), the roots of both eigenvalues of the structure tensor,
    and the standard deviation in a window.
    """
    channels = [smoothed(channel) for channel in pixels]
    brightness = np.mean(pixels, axis=0)
    smooth = smoothed(brightness)

    down = derivative(smooth, axis=0)
    right = derivative(smooth, axis=1)
    magnitude = np.hypot(down, right)

    ridges = eigenvalues(
        derivative(down, axis=0), derivative(down, axis=1), derivative(right, axis=1)
    )
    tensor = eigenvalues(
        smoothed(down * down, WINDOW),
        smoothed(down * right, WINDOW),
        smoothed(right * right, WINDOW),
    )
    structure = [np.sqrt(np.maximum(value, 0)) for value in tensor]

    mean = smoothed(brightness, WINDOW)
    variance = smoothed(brightness * brightness, WINDOW) - mean * mean
    deviation = np.sqrt(np.maximum(variance, 0))
    return np.stack([*channels, magnitude, *ridges, *structure, deviation])


def smoothed(values: np.ndarray, sigma: float = SMOOTHING) -> np.ndarray:
    """Convolve (H, W) with a Gaussian; the border is mirrored."""
    return cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)


def derivative(values: np.ndarray, axis: int) -> np.ndarray:
    """Differentiate (H, W) along the rows (axis 0) or the columns (axis 1), per px."""
    along_x, along_y = (0, 1) if axis == 0 else (1, 0)
    # The weights of a Sobel filter of 3 x 3 px sum to 8.
    return cv2.Sobel(values, cv2.CV_32F, along_x, along_y, scale=1 / 8)


def eigenvalues(
    first: np.ndarray, mixed: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the larger and the smaller eigenvalue of ((first, mixed), (mixed, second))."""
    middle = (first + second) / 2
    distance = np.hypot((first - second) / 2, mixed)
    return middle + distance, middle - distance
