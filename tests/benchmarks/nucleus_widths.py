"""How much wider the outlines of large nuclei are: which shift of logits suits which diameter.

``python tests/benchmarks/nucleus_widths.py --data DIR [--parts validation test]``

Fields of fluorescence are segmented by ``nuclei`` without the shifts of its card, and objects are
found anew with each of several shifts. Printed is the mean AJI and mean AP of the fields of each
range of diameters, as the network finds them, in px of the file; and with the card's own shifts
(``logit_shifts``).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))

from unet_helpers.inference.segment import segment
from unet_helpers.inference.tiles import shifted
from unet_helpers.networks.load import load_model
from unet_helpers.networks.unet import UNet
from unet_helpers.preprocessing.field_of_view import shift_at
from unet_helpers.results.metrics import aggregated_jaccard, average_precision
from unet_helpers.results.objects import split_interiors
from unet_helpers.training.datasets import Case
from unet_helpers.training.tasks import read_cases

# Added to the logits of the foreground: at the card's threshold of 0.6 the last is as one of 0.4.
SHIFTS = (-0.4, -0.2, 0.0, 0.2, 0.4, 0.8)

# px: the limits between the ranges of diameters.
LIMITS = (0, 16, 22, 32, 48, 1000)


@dataclass(frozen=True)
class Scores:
    """The scores of one field with one shift."""

    field: str
    diameter: float
    shift: str
    aji: float
    mean_ap: float


def scores_of(case: Case, model: UNet, shifts: tuple[tuple[float, float], ...]) -> list[Scores]:
    """Return the scores of a field with each shift, and with that of the card."""
    result = segment(case.image, model, progress=False)
    diameter = result.card.preprocessing.size / result.zoom
    tried = {f"{shift:+.1f}": shift for shift in SHIFTS}
    if shifts:
        tried["card"] = shift_at(diameter, shifts)

    rows = []
    for name, shift in tried.items():
        probabilities = shifted(result.probabilities, shift, with_background=True)
        size = result.card.object_diameter
        ids = split_interiors(probabilities, result.threshold, result.zoom, size)
        rows.append(
            Scores(
                field=case.name,
                diameter=diameter,
                shift=name,
                aji=aggregated_jaccard(case.truth, ids),
                mean_ap=float(average_precision(case.truth, ids).mean()),
            )
        )
    return rows


def main() -> None:
    """Print a row for each range of diameters, and a column for each shift."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", default=["test"])
    arguments = parser.parse_args()

    model = load_model("nuclei")
    shifts = model.card.preprocessing.logit_shifts
    without = replace(model.card.preprocessing, logit_shifts=())
    model.card = replace(model.card, preprocessing=without)

    rows = []
    for case in read_cases("nuclei", arguments.data):
        if case.part in arguments.parts and case.kind == "fluorescence":
            rows += scores_of(case, model, shifts)

    table = pd.DataFrame(rows)
    table["range"] = pd.cut(table["diameter"], LIMITS, right=False)
    columns = table["shift"].unique()
    for score in ("aji", "mean_ap"):
        means = table.pivot_table(score, "range", "shift", observed=True)[columns]
        means.loc["all"] = table.groupby("shift")[score].mean()
        means["fields"] = table.drop_duplicates("field").groupby("range", observed=True).size()
        print(score)
        print(means.round(4).to_string())


if __name__ == "__main__":
    main()
