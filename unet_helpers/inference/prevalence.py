"""Shifts the probabilities of unfamiliar images towards the card's prevalence."""

from dataclasses import replace

import numpy as np
import scipy

from ..checks.view import View
from ..networks.cards import ModelCard
from .prediction import VolumePrediction

# Distances from the training images, in units of the card's limit. Photographs from cameras in the
# training data are below the first, most others above the second; between them the share of the
# shift that is applied grows from 0 to 1.
FAMILIAR_DISTANCE = 0.45
STRANGE_DISTANCE = 0.55

# In logit: the largest shift, because the true share also differs between eyes.
LARGEST_SHIFT = 0.75

# In logit: smaller shifts are not applied.
SMALLEST_SHIFT = 0.05

# For speed, only every 7th probability is used to find the shift.
SAMPLING_STEP = 7

# To find the shift, probabilities are clipped to this distance from 0 and 1, where logits are
# infinite.
LEAST_PROBABILITY = 1e-6

# In logit: the shift is searched between minus and plus this.
SEARCHED_SHIFT = 20


def match_prevalence(prediction: VolumePrediction, card: ModelCard, view: View) -> VolumePrediction:
    """Shift the probabilities in logit so that their mean nears the card's prevalence, with a note.

    Saerens et al. 2002, Neural Comput. 14:21, section 2. Probabilities of exactly 0, outside the
    field of view, stay 0. Images similar to the training images are not changed. The probabilities
    are changed in place.
    """
    probability = prediction.probabilities[0]
    is_inside = probability > 0
    if not card.prevalence or not is_inside.any():
        return prediction

    distance = view.likeness.distances.get(card.name, 0.0)
    shift = shift_towards_prevalence(probability[is_inside], card.prevalence, distance)
    if abs(shift) < SMALLEST_SHIFT:
        return prediction

    with np.errstate(divide="ignore"):
        logit = scipy.special.logit(probability)
    prediction.probabilities[0] = scipy.special.expit(logit + np.float32(shift))

    note = (
        f"unlike most images learnt from: probabilities are shifted by {shift:+.2f} in logit, "
        f"towards {card.prevalence:.0%} of {card.classes[0]}, as is usual"
    )
    return replace(prediction, notes=(*prediction.notes, note))


def shift_towards_prevalence(
    probabilities: np.ndarray, prevalence: float, distance: float
) -> float:
    """Find the shift in logit for (N,) probabilities; 0 for images similar to the training images.

    ``distance`` is that of the image from the training images, in units of the card's limit.
    """
    share = float(np.interp(distance, (FAMILIAR_DISTANCE, STRANGE_DISTANCE), (0, 1)))
    if share == 0:
        return 0.0

    sample = probabilities[::SAMPLING_STEP].astype(float)
    logits = scipy.special.logit(sample.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))

    def excess(shift: float) -> float:
        return scipy.special.expit(logits + shift).mean() - prevalence

    full_shift = scipy.optimize.brentq(excess, -SEARCHED_SHIFT, SEARCHED_SHIFT)
    return share * float(np.clip(full_shift, -LARGEST_SHIFT, LARGEST_SHIFT))
