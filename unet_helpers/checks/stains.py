"""Tells whether red and blue are exchanged in tissue stained with haematoxylin and eosin.

``python tests/benchmarks/exchanged_stains.py --data DIR`` counts how many are noticed, and fits the
weights with each source of images left out.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .image_statistics import correlation

# Optical density, summed over the channels, from which a pixel is tissue; least number of them.
TISSUE_DENSITY = 0.3
LEAST_TISSUE = 200

# px, of the image made smaller: standard deviation of the Gaussian around a nucleus in which it is
# compared with its surroundings, so that blood and eosin elsewhere do not count.
AROUND_NUCLEUS = 8.0

# px: standard deviation of the Gaussian that averages the grain of the image.
GRAIN = 1.0

# Percentiles of the density above the surroundings: nuclei are above the first, the tissue between
# them is below the second.
DARK_PERCENTILE = 85
LIGHT_PERCENTILE = 50

# Weights of the three signs of `SignsOfStains`: a logistic regression on fields of MoNuSeg, CoNSeP
# and the Data Science Bowl as they are, against the same with red and blue exchanged.
WEIGHT_OF_CORRELATION = 3.0
WEIGHT_OF_DIFFERENCE = 36.0
WEIGHT_OF_NUCLEI = 11.0

# Their weighted sum is below this in H&E with red and blue exchanged; the sum of an image as it is
# has the opposite sign. At -0.5, H&E with another white balance would be doubted more often.
EXCHANGED_STAINS = -1.0

# In H&E, green is absorbed most, by these shares of the whole. Brown dyes absorb blue most.
SHARES_OF_GREEN = (0.36, 0.7)


@dataclass(frozen=True)
class SignsOfStains:
    """How the colours of nuclei differ from those of the tissue around them.

    Haematoxylin, the dye of nuclei, absorbs more red than eosin does. All signs are of 'redness':
    (density of red - density of blue) / density, which changes its sign if both are exchanged.
    """

    # Pearson's correlation of redness and density, each minus what is around.
    correlation: float

    # Mean redness, minus what is around, of nuclei - of the tissue between them.
    difference: float

    # Mean redness of nuclei.
    of_nuclei: float

    # Share of green in the density of nuclei, and whether it is the largest.
    share_of_green: float
    absorb_green_most: bool

    @property
    def score(self) -> float:
        """Above 0 if the colours are those of H&E, below 0 if red and blue are exchanged."""
        return (
            WEIGHT_OF_CORRELATION * self.correlation
            + WEIGHT_OF_DIFFERENCE * self.difference
            + WEIGHT_OF_NUCLEI * self.of_nuclei
        )

    @property
    def are_exchanged(self) -> bool:
        """Whether these are haematoxylin and eosin with red and blue exchanged."""
        least, most = SHARES_OF_GREEN
        is_haematoxylin_eosin = self.absorb_green_most and least < self.share_of_green < most
        return is_haematoxylin_eosin and self.score < EXCHANGED_STAINS


def signs_of_stains(colours: np.ndarray) -> SignsOfStains | None:
    """Measure the stains of colours (h, w, 3) from 0 to 1; None without nuclei in tissue."""
    density = -np.log((255 * colours + 1) / 256)
    total = density.sum(axis=-1)
    is_tissue = total > TISSUE_DENSITY
    if np.count_nonzero(is_tissue) < LEAST_TISSUE:
        return None

    redness = np.where(is_tissue, density[..., 0] - density[..., 2], 0) / np.maximum(total, 1e-6)
    darkness = np.log(np.maximum(total, TISSUE_DENSITY))
    redder = above_surroundings(redness, is_tissue)[is_tissue]
    darker = above_surroundings(darkness, is_tissue)[is_tissue]

    light, dark = np.percentile(darker, [LIGHT_PERCENTILE, DARK_PERCENTILE])
    is_nucleus = darker > dark
    is_between = darker < light
    if not is_nucleus.any() or not is_between.any():
        # Tissue of one density shows no nuclei.
        return None

    of_nuclei = density[is_tissue][is_nucleus].mean(axis=0)
    return SignsOfStains(
        correlation=correlation(redder, darker),
        difference=float(redder[is_nucleus].mean() - redder[is_between].mean()),
        of_nuclei=float(redness[is_tissue][is_nucleus].mean()),
        share_of_green=float(of_nuclei[1] / of_nuclei.sum()),
        absorb_green_most=bool(of_nuclei.argmax() == 1),
    )


def above_surroundings(values: np.ndarray, is_tissue: np.ndarray) -> np.ndarray:
    """Subtract from values (h, w) their mean over the tissue around each pixel."""
    weights = is_tissue.astype(np.float32)
    weighted = values.astype(np.float32) * weights
    fine, around = (
        cv2.GaussianBlur(weighted, (0, 0), sigma)
        / np.maximum(cv2.GaussianBlur(weights, (0, 0), sigma), 1e-3)
        for sigma in (GRAIN, AROUND_NUCLEUS)
    )
    return fine - around
