"""The scores of a card on a data set: ``evaluate(card, folder)``, and ``unet-helpers evaluate``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from subprocess import getoutput
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from ..errors import TrainingError, UNetHelpersError
from ..inference.segment import segment
from ..networks.load import load_model
from ..networks.unet import UNet
from ..version import __version__
from .datasets import Case
from .recipes import Task
from .tasks import TASKS, read_cases, task_of

if TYPE_CHECKING:
    import pandas as pd

# Metrics whose name begins so are the better, the lower they are.
ERROR = "error"


def evaluate(
    card: str,
    folder: Path,
    part: str = "test",
    model: UNet | None = None,
    task: str | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Segment the cases of one ``part`` of a data set, and score each.

    Returns a table with a row per case: name, kind, group and the task's metrics. ``part`` may be
    'all'. With ``task``, the data are those of another card, without the kinds in the training data
    of ``card``.
    ``options`` are those of ``segment``.
    """
    import pandas as pd

    data_of = task or card
    score = task_of(data_of).score
    model = model or load_model(card)
    cases = cases_to_score(card, folder, part, data_of)

    rows = []
    for case in tqdm(cases, desc=f"{card}, {part}"):
        result = segment(case.image, model, progress=False, **options)
        scores = score(case, result)
        rows.append({"name": case.name, "kind": case.kind, "group": case.group_or_name, **scores})

    if not rows:
        raise TrainingError(f"{folder}: none of its images is in the part {part!r}.")
    return pd.DataFrame(rows)


def cases_to_score(card: str, folder: Path, part: str, data_of: str) -> Iterator[Case]:
    """Read the cases of the part; of another card's data only kinds not used in training."""
    kinds_learnt: set[str] = set()
    if data_of != card:
        kinds_learnt = set(task_of(card).recipe.shares)

    for case in read_cases(data_of, folder):
        if part in ("all", case.part) and case.kind not in kinds_learnt:
            yield case


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Summarise scores of cases: mean, median, worst, and the mean's 95 % interval.

    This is done for all cases together and, if there are several kinds, for each kind. Rows are
    (kind, statistic), columns are metrics. A metric that is not known of each of the cases, because
    some of their classes are not labelled, is NaN there.
    """
    import pandas as pd

    tables = {heading("all", scores): statistics_of(scores)}
    if scores.kind.nunique() > 1:
        for kind, rows in scores.groupby("kind"):
            tables[heading(str(kind), rows)] = statistics_of(rows)
    return pd.concat(tables)


def heading(kind: str, rows: pd.DataFrame) -> str:
    """Return a kind with its number of cases, and of groups if there are fewer."""
    groups = rows.group.nunique()
    if groups < len(rows):
        return f"{kind} ({len(rows)}, groups: {groups})"
    return f"{kind} ({len(rows)})"


def statistics_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean, median and worst of each metric; 'from' and 'to' if there are several groups.

    The worst is the lowest, of errors the highest. 'from' and 'to' are the ends of a bootstrap
    interval of the mean. Whole groups are drawn, because cases of one person or field are similar.
    """
    from scipy.stats import bootstrap

    known = rows.drop(columns=["name", "kind"]).dropna(axis="columns")
    groups = known.groupby("group")
    totals = groups.sum()
    sizes = groups.count()

    measured = known[totals.columns]
    table = measured.agg(["mean", "median"])
    is_error = [name.startswith(ERROR) for name in totals.columns]
    table.loc["worst"] = np.where(is_error, measured.max(), measured.min())
    if len(groups) > 1:
        drawn = bootstrap(
            (totals, sizes),
            mean_of_groups,
            paired=True,
            method="percentile",
            random_state=0,
        )
        table.loc["from"] = drawn.confidence_interval.low
        table.loc["to"] = drawn.confidence_interval.high
    return table


def mean_of_groups(totals: np.ndarray, sizes: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean over all cases of the groups that were drawn."""
    return totals.sum(axis) / sizes.sum(axis)


@dataclass
class Section:
    """One section of the page about accuracy: a card on the data set of a task."""

    card: str
    task: Task
    # One of these two is set after the card was evaluated.
    scores: pd.DataFrame | None = None
    error: str = ""

    @property
    def is_own(self) -> bool:
        """Return whether the card was trained on this data set."""
        return self.card == self.task.card

    @property
    def part(self) -> str:
        """The part that is evaluated: all of a data set that the card was not trained on."""
        return "test" if self.is_own else "all"

    def measure(self, folder: Path) -> None:
        """Evaluate the card on the task's data set in ``folder``; set ``scores`` or ``error``."""
        data = folder / self.task.card
        try:
            self.scores = summary(evaluate(self.card, data, self.part, task=self.task.card))
        except UNetHelpersError as error:
            self.error = str(error)
            print(f"{self.card}: not measured. {error}")


def write_accuracy_page(folder: Path, file: Path) -> None:
    """Write a page in Markdown about all cards.

    Each is evaluated on the test part of its own data set in ``folder``, and on all of the data
    sets that it has never seen.
    """
    from jinja2 import Template

    sections = []
    for task in TASKS.values():
        sections.append(Section(card=task.card, task=task))
        sections.extend(Section(card=card, task=task) for card in task.unseen_by)

    for section in sections:
        section.measure(folder)

    template = Path(__file__).with_name("accuracy.md.j2").read_text("utf-8")
    page = Template(template, keep_trailing_newline=True).render(
        day=date.today(),
        version=__version__,
        commit=getoutput("git describe --always --dirty"),
        sections=sections,
    )
    file.write_text(page, "utf-8")
