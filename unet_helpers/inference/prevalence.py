"""Probabilities of an image unlike those learnt from, shifted towards the card's prevalence."""

from dataclasses import replace

import numpy as np
import scipy

from ..checks.view import View
from ..networks.cards import ModelCard
from .prediction import VolumePrediction

# Distances, in limits of the card, below which photographs of cameras learnt from lie, and above
# which most others lie: between them the shift grows from nothing to all of it.
FAMILIAR_DISTANCE = 0.45
STRANGE_DISTANCE = 0.55

# In logit: how far probabilities are shifted at most, since eyes differ, too.
LARGEST_SHIFT = 0.75

# In logit: a smaller shift is not worth a note, and is not made.
SMALLEST_SHIFT = 0.05

# Every so many probabilities stand for all when the shift is found.
SAMPLING_STEP = 7

# Probabilities closer to 0 or 1 count as this when the shift is found.
LEAST_PROBABILITY = 1e-6

# In logit: the shift is looked for up to here.
SEARCHED_SHIFT = 20


def match_prevalence(prediction: VolumePrediction, card: ModelCard, view: View) -> VolumePrediction:
    """Shift the probabilities in logit so that their mean nears the card's prevalence, with a note.

    Saerens et al. 2002, Neural Comput. 14:21, section 2. What is exactly 0, outside the field of
    view, stays so. An image like those learnt from is left as it is.
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
    """Find the shift in logit for (N,) probabilities; 0 for an image like those learnt from.

    ``distance``: how far the image is from the card's, in limits.
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
