"""A card's scores on a folder of its data set: ``python -m unet_helpers.evaluate CARD --data DIR --part test``."""

import argparse
from pathlib import Path

from skimage.measure import label
from tqdm.auto import tqdm

from .datasets import READERS, Case, read_cases
from .metrics import average_precision, dice, rand_v, sensitivity
from .models import load_model
from .prepare import field_of_view
from .result import Segmentation
from .segment import segment
from .unet import UNet


def score_nuclei(case: Case, result: Segmentation) -> dict[str, float]:
    precision = average_precision(case.truth, result.objects)
    return {"mean AP": precision.mean(), "AP50": precision[0], "Dice": dice(case.truth, result.labels)}


def score_vessels(case: Case, result: Segmentation) -> dict[str, float]:
    """Inside the field of view, where there is one."""
    inside = field_of_view(case.image.pixels)
    truth, answer = case.truth[inside], result.labels[inside]
    return {"Dice": dice(truth, answer), "sensitivity": sensitivity(truth, answer)}


def score_membranes(case: Case, result: Segmentation) -> dict[str, float]:
    """Rand V after border thinning; the true cells are 4-connected regions without membrane."""
    cells = label(case.truth == 0, connectivity=1)
    return {"Rand V": rand_v(cells, result.objects), "Dice": dice(case.truth, result.labels)}


def score_classes(case: Case, result: Segmentation) -> dict[str, float]:
    names = result.card.classes
    return {f"Dice {name}": dice(case.truth == i, result.labels == i) for i, name in enumerate(names, 1)}


SCORES = {"nuclei": score_nuclei, "retinal_vessels": score_vessels, "em_membranes": score_membranes}


def evaluate(card: str, folder: Path, part: str = "test", model: UNet | None = None, **options):
    """A pandas.DataFrame with one row a case: name, kind and the card's metrics (see README, 'scores')."""
    import pandas as pd

    model, rows = model or load_model(card), []
    cases = (case for case in read_cases(card, folder) if part in ("all", case.part))
    for case in tqdm(cases, desc=f"{card}, {part}"):
        result = segment(case.image, model, progress=False, **options)
        rows.append({"name": case.name, "kind": case.kind} | SCORES.get(card, score_classes)(case, result))
    return pd.DataFrame(rows)


def summary(scores):
    """Mean, median and worst of each metric, over all cases and for each kind."""
    import pandas as pd

    groups = [("all", scores), *(scores.groupby("kind") if scores.kind.nunique() > 1 else ())]
    tables = {
        f"{kind} ({len(rows)})": rows.drop(columns=["name", "kind"]).agg(["mean", "median", "min"])
        for kind, rows in groups
    }
    return pd.concat(tables).round(4)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m unet_helpers.evaluate", description=__doc__.split(":")[0])
    parser.add_argument("card", choices=sorted(READERS))
    parser.add_argument("--data", type=Path, required=True, help="the folder of the card's data set")
    parser.add_argument("--part", choices=("train", "validation", "test", "all"), default="test")
    parser.add_argument("--weights", help="a .safetensors file of the trainer, in place of the shipped weights")
    chosen = parser.parse_args(arguments)
    model = load_model(chosen.weights or chosen.card)
    print(summary(evaluate(chosen.card, chosen.data, chosen.part, model)).to_string())


if __name__ == "__main__":
    main()
