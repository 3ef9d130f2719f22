"""Print the Dice of vessels by the width in working px at which an eye is seen.

Run ``python tests/benchmarks/eye_widths.py --data DIR``. Each width replaces ``size`` and
``largest_size`` of the card; logits are shifted by the eye's own width as ever. Besides the test
part every sixth of the other eyes is segmented, from which the network learnt.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))

from unet_helpers.inference.segment import segment
from unet_helpers.networks.load import load_model
from unet_helpers.training.datasets import Case
from unet_helpers.training.tasks import TASKS, read_cases

CARD = "retinal_vessels"
WIDTHS = (850, 1000, 1250, 1500)

# One of so many eyes outside the test part is segmented.
STEP = 6


def cases_of(folder: Path) -> list[Case]:
    """Return the eyes of the test part, and some of the others."""
    cases = list(read_cases(CARD, folder))
    tested = [case for case in cases if case.part == "test"]
    others = [case for case in cases if case.part != "test"]
    return tested + others[::STEP]


def main() -> None:
    """Print a row for each camera and part, and a column for each width."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data

    cases = cases_of(folder)
    model = load_model(CARD)
    card = model.card
    rows = []
    for width in WIDTHS:
        preprocessing = replace(card.preprocessing, size=width, largest_size=0)
        model.card = replace(card, preprocessing=preprocessing)
        for case in cases:
            result = segment(case.image, model, progress=False)
            dice = TASKS[CARD].score(case, result)["Dice"]
            is_test = case.part == "test"
            rows.append({"camera": case.kind, "test": is_test, "width": width, "Dice": dice})

    table = pd.DataFrame(rows)
    print(table.pivot_table("Dice", ["camera", "test"], "width").round(4).to_string())


if __name__ == "__main__":
    main()
