"""A card's scores on a folder of its data set: ``python -m unet_helpers evaluate CARD --data DIR --part test``."""

import argparse
from pathlib import Path

from tqdm.auto import tqdm

from ..inference.segment import segment
from ..networks.load import load_model
from ..networks.unet import UNet
from .tasks import TASKS, read_cases


def evaluate(card: str, folder: Path, part: str = "test", model: UNet | None = None, **options):
    """A pandas.DataFrame with one row a case: name, kind and the card's metrics (see README, 'scores')."""
    import pandas as pd

    model, rows = model or load_model(card), []
    cases = (case for case in read_cases(card, folder) if part in ("all", case.part))
    for case in tqdm(cases, desc=f"{card}, {part}"):
        result = segment(case.image, model, progress=False, **options)
        rows.append({"name": case.name, "kind": case.kind} | TASKS[card].score(case, result))
    return pd.DataFrame(rows)


def summary(scores):
    """Mean, median and worst of each metric, over all cases and for each kind."""
    import pandas as pd

    groups = [("all", scores), *(scores.groupby("kind") if scores.kind.nunique() > 1 else ())]
    named = {f"{kind} ({len(rows)})": rows.drop(columns=["name", "kind"]) for kind, rows in groups}
    return pd.concat({name: rows.agg(["mean", "median", "min"]) for name, rows in named.items()}).round(4)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="unet-helpers evaluate", description=__doc__.split(":")[0])
    parser.add_argument("card", choices=sorted(TASKS))
    parser.add_argument("--data", type=Path, required=True, help="the folder of the card's data set")
    parser.add_argument("--part", choices=("train", "validation", "test", "all"), default="test")
    parser.add_argument("--weights", help="a .safetensors file of the trainer, in place of the shipped weights")
    chosen = parser.parse_args(arguments)
    model = load_model(chosen.weights or chosen.card)
    print(summary(evaluate(chosen.card, chosen.data, chosen.part, model)).to_string())
