"""The scores of the cards are those of docs/ACCURACY.md."""

import re

from helpers.places import ROOT

from unet_helpers.networks.cards import MODELS

FIGURE = re.compile(
    r"(Rand V|mean AP|AP50|PQ|AJI|Dice|worst)?(?: image| patient)? ?(0\.\d+)(?: (\w+))?"
)
COLUMNS = ("mean", "interval", "median", "worst")


def table(page: str) -> dict:
    """{(card, kind, metric): {column: figure}} of the test parts of the cards' own data sets."""
    found = {}
    for section in re.split(r"\n## ", page)[1:]:
        title = section.partition("\n")[0]
        rows = re.findall(
            r"^\| (\w+) \(\d.*?\) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", section, re.M
        )
        for kind, metric, *figures in rows if "never seen" not in title else ():
            found[title.split("`")[1], kind, metric] = dict(zip(COLUMNS, figures))
    return found


def disagreements(card: str, scores: tuple[str, ...], measured: dict) -> tuple[int, list[str]]:
    """How many figures of a card's scores stand in the table too, and which of them differ by more than rounding.

    A figure without a metric has that of the figure before it, as in 'Dice 0.854 mean, 0.857 median'.
    """
    kinds = {kind for name, kind, _ in measured if name == card}
    compared, wrong, metric = 0, [], ""
    for text in scores:
        kind = next((k for k in kinds if k.lower() in text.lower()), "all")
        for before, figure, after in FIGURE.findall(text):
            metric = metric if before in ("", "worst") else before
            column = "worst" if before == "worst" else "median" if after == "median" else "mean"
            for name in (metric, f"{metric} {after}", f"{metric} {MODELS[card].classes[0]}"):
                if (row := measured.get((card, kind, name))) is not None:
                    compared += 1
                    rounding = (
                        0.5 * 10.0 ** -len(figure.partition(".")[2]) + 0.0005
                    )  # of the card and of the table
                    if abs(float(row[column]) - float(figure)) > rounding + 1e-9:
                        wrong.append(
                            f"{card}: {text!r}, but {kind}, {name}: {column} {row[column]}"
                        )
                    break
    return compared, wrong


def test_the_cards_and_the_page_agree():
    measured = table((ROOT / "docs/ACCURACY.md").read_text("utf-8"))
    cards = {card for card, _, _ in measured}
    assert cards
    for card in cards:
        compared, wrong = disagreements(card, MODELS[card].scores, measured)
        assert wrong == []
        assert compared == sum(len(re.findall(r"0\.\d", text)) for text in MODELS[card].scores)


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


def test_this_comparison_can_fail():
    measured = table(PAGE)
    assert disagreements(
        "brain_flair", ("Dice 0.854 mean, 0.857 median (10 patients)",), measured
    ) == (2, [])
    assert (
        len(
            disagreements(
                "brain_flair", ("Dice 0.857 mean, 0.854 median (10 patients)",), measured
            )[1]
        )
        == 2
    )
    nuclei = "mean AP 0.58, AP50 0.83, Dice 0.91 (55 images)", "fluorescence alone: AP50 0.86"
    assert disagreements("nuclei", nuclei, measured) == (3, [])  # Dice is not in this page
    found = disagreements("nuclei", ("mean AP 0.57", "fluorescence alone: AP50 0.83"), measured)[1]
    assert len(found) == 2
    assert "fluorescence, AP50: mean 0.862" in found[1]
    parts = ("Dice 0.898 anterior, 0.876 posterior (21 volumes)",)
    assert disagreements("hippocampus", parts, measured) == (2, [])
    assert (
        len(disagreements("hippocampus", ("Dice 0.898 anterior, 0.898 posterior",), measured)[1])
        == 1
    )
    assert disagreements("brain_flair", ("Dice 0.854, worst patient 0.71",), measured) == (2, [])
    assert len(disagreements("brain_flair", ("Dice 0.854, worst patient 0.89",), measured)[1]) == 1
