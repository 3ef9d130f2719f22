"""The scores of the cards are those of docs/ACCURACY.md."""

import re
from dataclasses import dataclass

import pytest
from helpers.places import ROOT

from unet_helpers.networks.cards import MODELS
from unet_helpers.networks.scores import Score

# | kind (n) | metric | mean | interval | median | worst |
ROW = re.compile(
    r"^\| (\w+) \(\d.*?\) \| (.+?) \| (.+?) \| .+? \| (.+?) \| (.+?) \|$", re.MULTILINE
)

COLUMN_OF_STATISTIC = {"mean": "mean", "median": "median", "worst image": "worst"}

# Half a unit of the last decimal of the page.
ROUNDING_OF_PAGE = 0.0005


@dataclass(frozen=True)
class Row:
    """The figures of one kind of images and one metric, on the page."""

    mean: float
    median: float
    worst: float


def rows_of(page: str) -> dict[tuple[str, str, str], Row]:
    """Rows of the test parts of the cards' own data sets, by card, kind and metric."""
    rows = {}
    for section in re.split(r"\n## ", page)[1:]:
        title = section.partition("\n")[0]
        if "never seen" in title:
            continue
        card = title.split("`")[1]
        for kind, metric, mean, median, worst in ROW.findall(section):
            rows[card, kind, metric] = Row(float(mean), float(median), float(worst))
    return rows


def row_of(card: str, score: Score, rows: dict[tuple[str, str, str], Row]) -> Row | None:
    """The row that a score of a card is about."""
    metrics = [score.metric, f"{score.metric} {score.structure or MODELS[card].classes[0]}"]
    said = f"{score.subset or score.data}".lower()
    kinds = [kind for name, kind, _ in rows if name == card and kind.lower() in said]
    for kind in (*kinds, "all"):
        for metric in metrics:
            if (card, kind, metric) in rows:
                return rows[card, kind, metric]
    return None


def agrees(score: Score, row: Row) -> bool:
    """Do the two differ by no more than rounding?"""
    figure = getattr(row, COLUMN_OF_STATISTIC[score.statistic])
    rounding = 0.5 * 10.0**-score.decimals + ROUNDING_OF_PAGE
    return abs(figure - score.value) <= rounding + 1e-9


MEASURED = rows_of((ROOT / "docs/ACCURACY.md").read_text("utf-8"))


@pytest.mark.parametrize("card", sorted({card for card, _, _ in MEASURED}))
def test_the_scores_of_a_card_are_on_the_page(card):
    assert MODELS[card].scores
    for score in MODELS[card].scores:
        row = row_of(card, score, MEASURED)
        assert row is not None, score
        assert agrees(score, row), (score, row)


PAGE = """
## `brain_flair` on other patients of sources it learnt from

| all (10) | Dice abnormality | 0.854 | 0.800 to 0.890 | 0.857 | 0.710 |

## `nuclei` on other images of sources it learnt from

| all (55) | AP50 | 0.825 | 0.800 to 0.850 | 0.862 | 0.393 |
| fluorescence (44) | AP50 | 0.862 | 0.840 to 0.880 | 0.894 | 0.444 |

## `nuclei` on `nuclei_he`: never seen

| all (445, groups: 40) | mean AP | 0.100 | 0.090 to 0.110 | 0.100 | 0.010 |

## `hippocampus` on other volumes of sources it learnt from

| all (21) | Dice anterior | 0.898 | 0.890 to 0.906 | 0.899 | 0.860 |
| all (21) | Dice posterior | 0.876 | 0.865 to 0.886 | 0.877 | 0.830 |
"""


def score(metric: str, value: float, **fields) -> Score:
    return Score(metric=metric, value=value, data="drawn", n=10, **fields)


@pytest.mark.parametrize(
    ("card", "stated", "right"),
    [
        ("brain_flair", score("Dice", 0.854), True),
        ("brain_flair", score("Dice", 0.857), False),
        ("brain_flair", score("Dice", 0.857, statistic="median"), True),
        ("brain_flair", score("Dice", 0.71, statistic="worst image", decimals=2), True),
        ("brain_flair", score("Dice", 0.89, statistic="worst image", decimals=2), False),
        ("nuclei", score("AP50", 0.83, decimals=2), True),
        ("nuclei", score("AP50", 0.84, decimals=2), False),
        ("nuclei", score("AP50", 0.86, decimals=2, subset="fluorescence"), True),
        ("nuclei", score("AP50", 0.83, decimals=2, subset="fluorescence"), False),
        ("hippocampus", score("Dice", 0.876, structure="posterior"), True),
        ("hippocampus", score("Dice", 0.898, structure="posterior"), False),
    ],
)
def test_this_comparison_can_fail(card, stated, right):
    row = row_of(card, stated, rows_of(PAGE))
    assert row is not None
    assert agrees(stated, row) == right


def test_data_never_seen_are_not_compared():
    assert row_of("nuclei", score("mean AP", 0.1), rows_of(PAGE)) is None
