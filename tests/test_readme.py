"""README, cards, notebook and code tell the same story."""

import json
import re
from pathlib import Path

from unet_helpers import LATER, __version__
from unet_helpers.__main__ import COMMANDS
from unet_helpers.download import HOME_URL
from unet_helpers.networks.cards import MODELS
from unet_helpers.version import HOME

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
NOTEBOOK = json.loads((ROOT / "Medical_Image_Segmentation.ipynb").read_text())
SOURCES = ["".join(cell["source"]) for cell in NOTEBOOK["cells"]]
BADGE = re.compile(
    r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)/blob/([\w.-]+)/(\S+\.ipynb)"
)


def test_badge_notebook_and_downloads_name_one_home():
    """``HOME`` in version.py is where it is decided; where a document differs: sed -i s,OLD,NEW, README.md ..."""
    homes = {BADGE.search(text).groups() for text in (README, SOURCES[0])}
    assert len(homes) == 1
    repository, branch, notebook = homes.pop()
    assert repository == HOME
    assert f"https://raw.githubusercontent.com/{HOME}/{branch}/" == HOME_URL
    for text in (
        README,
        "\n".join(SOURCES),
        (ROOT / "CITATION.cff").read_text(),
        (ROOT / "docs/USE.md").read_text(),
    ):
        assert set(re.findall(rf"[\w.-]+/{HOME.split('/')[1]}", text)) <= {HOME}
    assert (ROOT / notebook).is_file()


def test_the_setup_cell_understands_the_address_that_the_badge_opens():
    pattern = next(
        re.search(r're\.search\(r"(.+?)"', text)[1] for text in SOURCES if "api/sessions" in text
    )
    repository, branch, notebook = BADGE.search(README).groups()
    page = re.search(pattern, f"fileId=https://github.com/{repository}/blob/{branch}/{notebook}")
    assert page.groups() == (repository, branch)


def test_the_readme_has_every_card_with_its_scores_and_licence():
    for card in MODELS.values():
        if card.sha256:
            texts = README, (ROOT / "docs/USE.md").read_text().split("## Data and licences")[1]
            scores, licence = (
                next(line for line in text.splitlines() if line.startswith(f"| `{card.name}` |"))
                for text in texts
            )
            assert all(score in scores for score in card.scores)
            assert card.licence in licence


def test_every_name_the_notebook_and_the_readme_use_exists():
    import unet_helpers as uh

    used = set(
        re.findall(
            r"\buh\.(\w+)", "\n".join([*SOURCES, README, (ROOT / "docs/USE.md").read_text()])
        )
    )
    assert used
    assert all(hasattr(uh, name) for name in used)


def test_no_function_hides_behind_a_module_of_its_name():
    """``uh.name`` would become the module as soon as something imports it."""
    assert not {name for name in LATER if (ROOT / f"unet_helpers/{name}.py").exists()}


def test_one_version_and_one_home_everywhere():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"version: {__version__}\n" in citation
    assert f"## {__version__}\n" in (ROOT / "docs/CHANGELOG.md").read_text()
    assert f"https://github.com/{BADGE.search(README)[1]}\n" in citation


def test_commands_in_the_documents_exist():
    texts = (
        README
        + (ROOT / "docs/USE.md").read_text()
        + (ROOT / "docs/TRAINING.md").read_text()
        + (ROOT / "CONTRIBUTING.md").read_text()
    )
    commands = set(re.findall(r"python -m unet_helpers (train|evaluate|[a-z]+-[a-z]+)\b", texts))
    assert {"train", "evaluate"} <= commands <= set(COMMANDS)
    assert "python -m unet_helpers." not in texts


def test_the_use_is_stated_where_a_user_sees_it():
    assert "not diagnosis" in README
    assert "not diagnosis" in SOURCES[0]
    assert "Privacy" in "\n".join(SOURCES)
