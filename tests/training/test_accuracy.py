"""The scores of the cards are those of docs/ACCURACY.md."""

import re
from dataclasses import dataclass

import pytest
from helpers.places import ROOT

from unet_helpers.networks.cards import MODELS
from unet_helpers.networks.scores import Score

# A row of a table: kind of images (how many) | metric | mean | interval | median | worst.
ROW = re.compile(r"^\| (\w+) \((\d+).*?\) \| (.+?) \| (.+?) \| .+? \| (.+?) \| (.+?) \|$", re.M)

# A row of the page may be rounded, too, by half of its third decimal.
ROUNDING_OF_THE_PAGE = 0.0005


@dataclass(frozen=True)
class Row:
    """One row of a table of docs/ACCURACY.md."""

    card: str
    kind: str
    n: int
    metric: str
    values: dict[str, float]  # by the statistic of a score


def rows_of(page: str) -> list[Row]:
    """The rows about the test parts of the cards' own data sets."""
    rows = []
    for section in re.split(r"\n## ", page)[1:]:
        title = section.partition("\n")[0]
        if "never seen" in title:
            continue
        card = title.split("`")[1]
        for kind, n, metric, mean, median, worst in ROW.findall(section):
            values = {"mean": float(mean), "median": float(median), "worst image": float(worst)}
            rows.append(Row(card, kind, int(n), metric, values))
    return rows


def row_of(score: Score, card: str, rows: list[Row]) -> Row | None:
    """The row that a score of a card is about; None where the page has none."""
    of_card = [row for row in rows if row.card == card]
    images = f"{score.data} {score.subset}".lower()
    kinds = [row.kind for row in of_card if row.kind != "all" and row.kind.lower() in images]
    kind = kinds[0] if kinds else "all"
    metrics = (
        score.metric,
        f"{score.metric} {score.structure}",
        f"{score.metric} {MODELS[card].classes[0]}",
    )
    for metric in metrics:
        for row in of_card:
            if row.kind == kind and row.metric == metric:
                return row
    return None


def agrees(score: Score, row: Row) -> bool:
    """Do figure and number of images agree, but for rounding?"""
    rounding = 0.5 * 10.0**-score.decimals + ROUNDING_OF_THE_PAGE
    return score.n == row.n and abs(row.values[score.statistic] - score.value) <= rounding + 1e-9


def own_scores() -> list:
    """Each score of each card that was measured here, with the name of its card."""
    return [
        pytest.param(card.name, score, id=f"{card.name}: {score}")
        for card in MODELS.values()
        for score in card.scores
    ]


@pytest.mark.parametrize(("card", "score"), own_scores())
def test_a_score_of_a_card_stands_on_the_page(card, score):
    rows = rows_of((ROOT / "docs/ACCURACY.md").read_text("utf-8"))
    row = row_of(score, card, rows)
    assert row is not None
    assert agrees(score, row), row


PAGE = """
## `brain_flair` on other patients of sources it learnt from

| all (10) | Dice abnormality | 0.854 | 0.800 to 0.890 | 0.857 | 0.710 |

## `nuclei` on other images of sources it learnt from

| all (55) | mean AP | 0.583 | 0.500 to 0.600 | 0.589 | 0.200 |
| all (55) | AP50 | 0.825 | 0.800 to 0.850 | 0.862 | 0.393 |
| fluorescence (44) | AP50 | 0.862 | 0.840 to 0.880 | 0.894 | 0.444 |

## `nuclei` on `nuclei_he`: never seen

| all (445, groups: 40) | mean AP | 0.100 | 0.090 to 0.110 | 0.100 | 0.010 |

## `hippocampus` on other volumes of sources it learnt from

| all (21) | Dice anterior | 0.898 | 0.890 to 0.906 | 0.899 | 0.860 |
| all (21) | Dice posterior | 0.876 | 0.865 to 0.886 | 0.877 | 0.830 |
"""


def compare(card: str, **fields) -> bool | None:
    """Does such a score agree with ``PAGE``? None where it has no such row."""
    score = Score(**{"metric": "Dice", "data": "its own", **fields})
    row = row_of(score, card, rows_of(PAGE))
    return None if row is None else agrees(score, row)


def test_mean_and_median_are_told_apart():
    assert compare("brain_flair", value=0.854, n=10)
    assert compare("brain_flair", value=0.857, n=10, statistic="median")
    assert not compare("brain_flair", value=0.857, n=10)
    assert not compare("brain_flair", value=0.854, n=10, statistic="median")


def test_the_worst_image_is_compared():
    assert compare("brain_flair", value=0.71, n=10, statistic="worst image")
    assert not compare("brain_flair", value=0.89, n=10, statistic="worst image")


def test_figures_are_compared_with_their_own_decimals():
    assert compare("nuclei", metric="mean AP", value=0.58, n=55, decimals=2)
    assert not compare("nuclei", metric="mean AP", value=0.57, n=55, decimals=2)
    assert not compare("nuclei", metric="mean AP", value=0.58, n=55, decimals=3)


def test_the_number_of_images_is_compared():
    assert not compare("brain_flair", value=0.854, n=11)


def test_a_kind_of_image_has_a_row_of_its_own():
    assert compare("nuclei", metric="AP50", value=0.862, n=44, subset="fluorescence")
    assert not compare("nuclei", metric="AP50", value=0.83, n=44, subset="fluorescence", decimals=2)


def test_structures_are_told_apart():
    assert compare("hippocampus", value=0.898, n=21, structure="anterior")
    assert compare("hippocampus", value=0.876, n=21, structure="posterior")
    assert not compare("hippocampus", value=0.898, n=21, structure="posterior")


def test_a_score_that_is_not_on_the_page_is_noticed():
    assert compare("nuclei", metric="Dice", value=0.91, n=55) is None
