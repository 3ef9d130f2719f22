"""A card's scores on a data set: ``python -m unet_helpers evaluate CARD --data DIR --part test``."""

import argparse
from datetime import date
from pathlib import Path
from subprocess import getoutput

from tqdm.auto import tqdm

from ..errors import TrainingError, UNetHelpersError
from ..inference.segment import segment
from ..networks.load import load_model
from ..networks.unet import UNet
from ..version import __version__
from .tasks import TASKS, read_cases


def evaluate(
    card: str,
    folder: Path,
    part: str = "test",
    model: UNet | None = None,
    task: str = "",
    **options,
):
    """pandas.DataFrame: name, kind, group and metrics of a case. ``task``: another card's data, less kinds learnt."""
    import pandas as pd

    model, rows, learnt = (
        model or load_model(card),
        [],
        TASKS[card].recipe.shares if task not in ("", card) else (),
    )
    cases = (
        c
        for c in read_cases(task or card, folder)
        if part in ("all", c.part) and c.kind not in learnt
    )
    for case in tqdm(cases, desc=f"{card}, {part}"):
        scores = TASKS[task or card].score(
            case, segment(case.image, model, progress=False, **options)
        )
        rows.append(
            {"name": case.name, "kind": case.kind, "group": case.group or case.name} | scores
        )
    if not rows:
        raise TrainingError(f"{folder}: none of its images is in the part {part!r}.")
    return pd.DataFrame(rows)


def summary(scores):
    """Mean, median and worst of each metric, over all cases and for each kind; and the mean's 95 % interval."""
    import pandas as pd
    from scipy.stats import bootstrap

    named, mean = {}, lambda totals, sizes, axis: totals.sum(axis) / sizes.sum(axis)
    for kind, rows in [
        ("all", scores),
        *(scores.groupby("kind") if scores.kind.nunique() > 1 else ()),
    ]:
        groups = rows.drop(columns=["name", "kind"]).groupby("group")
        table = rows[groups.sum().columns].agg(["mean", "median", "min"])
        if len(groups) > 1:  # they are drawn whole: cases of one person or field are alike
            drawn = bootstrap(
                (groups.sum(), groups.count()),
                mean,
                paired=True,
                method="percentile",
                random_state=0,
            )
            table.loc["from"], table.loc["to"] = drawn.confidence_interval
        named[f"{kind} ({len(rows)}{f', groups: {len(groups)}' * (len(groups) < len(rows))})"] = (
            table
        )
    return pd.concat(named)


def accuracy(folder: Path, file: Path) -> None:
    """Write a page in Markdown: each card on the test part of its data set in ``folder``, and on those never seen."""
    from jinja2 import Template

    sections: list = [
        (card, task, {}) for task in TASKS.values() for card in (task.card, *task.unseen_by)
    ]
    for card, task, outcome in sections:
        try:
            part = "test" if card == task.card else "all"
            outcome["scores"] = summary(evaluate(card, folder / task.card, part, task=task.card))
        except UNetHelpersError as error:
            outcome["error"] = error
            print(f"{card}: not measured. {error}")
    facts = {
        "day": date.today(),
        "version": __version__,
        "commit": getoutput("git describe --always --dirty"),
    }
    page = Template(
        Path(__file__).with_name("accuracy.md.j2").read_text("utf-8"), keep_trailing_newline=True
    )
    file.write_text(page.render(facts, sections=sections), "utf-8")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="unet-helpers evaluate", description=__doc__.split(":")[0]
    )
    parser.add_argument(
        "card",
        choices=[*sorted(TASKS), "all"],
        help="or 'all', which takes --data and --write alone",
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="the folder of the data set; with all: of all of them",
    )
    parser.add_argument("--part", choices=("train", "validation", "test", "all"), default="test")
    parser.add_argument(
        "--task",
        choices=sorted(TASKS),
        default="",
        help="whose data set it is; default: the card's",
    )
    parser.add_argument(
        "--weights", help="a .safetensors file of the trainer, in place of the shipped weights"
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", default="docs/ACCURACY.md", help="of 'all': the page"
    )
    chosen = parser.parse_args(arguments)
    if chosen.card == "all":
        return accuracy(chosen.data, chosen.write)
    model = load_model(chosen.weights or chosen.card)
    print(
        summary(evaluate(chosen.card, chosen.data, chosen.part, model, chosen.task))
        .round(4)
        .to_string()
    )
