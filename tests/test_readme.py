"""README, documentation, cards, notebook and code tell the same story."""

import json
import re
from urllib.parse import unquote

import pytest
import yaml
from helpers.places import ROOT

import unet_helpers as uh
from unet_helpers.download import HOME_URL
from unet_helpers.networks.cards import MODELS
from unet_helpers.shell.app import COMMANDS
from unet_helpers.version import HOME

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NOTEBOOK = json.loads((ROOT / "Medical_Image_Segmentation.ipynb").read_text(encoding="utf-8"))
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"]]
PAGES = {
    path.relative_to(ROOT): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if path.name != "CHANGELOG.md"  # which also names what is gone
}

BADGE = re.compile(
    r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)/blob/([\w.-]+)/(\S+\.ipynb)"
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_badge_notebook_and_downloads_name_one_home():
    """Where HOME of version.py changes, a document follows: sed -i s,OLD,NEW, README.md ..."""
    homes = {BADGE.search(text).groups() for text in (README, CELLS[0])}
    assert len(homes) == 1
    repository, branch, notebook = homes.pop()
    assert repository == HOME
    assert f"https://raw.githubusercontent.com/{HOME}/{branch}/" == HOME_URL
    assert (ROOT / notebook).is_file()


def test_every_document_names_the_same_repository_and_site():
    owner, name = HOME.split("/")
    homes = {HOME, f"{owner}.github.io/{name}"}
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"https://github.com/{HOME}\n" in citation
    for text in (README, CONTRIBUTING, citation, *CELLS, *PAGES.values()):
        # A local folder, as of a clone, has no owner before it.
        named = set(re.findall(rf"//(?:[\w.-]+/)*?([\w.-]+/{name})\b", text))
        assert named <= homes


def test_the_readme_has_every_card_with_its_scores():
    for card in MODELS.values():
        row = next(line for line in README.splitlines() if line.startswith(f"| `{card.name}` |"))
        assert all(text in row for text in card.score_texts)


def test_every_public_name_that_a_document_uses_exists():
    text = "\n".join([*CELLS, README, CONTRIBUTING, *PAGES.values()])
    used = set(re.findall(r"\buh\.([A-Za-z_]+)\b(?!\.md)", text))
    assert used
    missing = {name for name in used - {"NAME"} if not hasattr(uh, name)}
    assert not missing


def test_every_attribute_of_a_result_or_an_image_that_a_page_names_exists():
    text = "\n".join([README, CONTRIBUTING, *PAGES.values()])
    result = uh.Segmentation.__dataclass_fields__.keys() | set(dir(uh.Segmentation))
    image = uh.MedicalImage.__dataclass_fields__.keys() | set(dir(uh.MedicalImage))
    assert set(re.findall(r"\bresult\.([a-z_]+)", text)) <= result
    assert set(re.findall(r"(?<![-_./\w])image\.([a-z_]+)", text)) <= image


def test_no_function_hides_behind_a_module_of_its_name():
    """``uh.name`` would become the module as soon as something imports it."""
    assert not {name for name in uh.__all__ if (ROOT / f"unet_helpers/{name}.py").exists()}


def test_citation_and_changelog_name_the_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "docs/CHANGELOG.md").read_text(encoding="utf-8")
    assert f"version: {uh.__version__}\n" in citation
    assert re.search(rf"^## \[{re.escape(uh.__version__)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.M)


def test_commands_in_the_documents_exist():
    text = "\n".join([README, CONTRIBUTING, *PAGES.values()])
    commands = set(re.findall(r"python -m unet_helpers (train|evaluate|[a-z]+-[a-z]+)\b", text))
    assert {"train", "evaluate"} <= commands <= set(COMMANDS)
    assert "python -m unet_helpers." not in text


def test_files_that_the_documents_name_exist():
    text = "\n".join([README, CONTRIBUTING, *PAGES.values()])
    paths = re.findall(r"\b((?:tests|unet_helpers|docs|sample_images)/[\w./-]*\w)", text)
    missing = {path for path in paths if not (ROOT / path).exists()}
    # CONTRIBUTING.md shows how they would be added.
    assert missing == {"unet_helpers/training/tasks/discs.py", "unet_helpers/weights/discs.json"}


def test_links_in_the_readme_lead_somewhere():
    for link in LINK.findall(README):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = ROOT / unquote(path)
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M)
            assert anchor in {anchor_of(heading) for heading in headings}, link


def anchor_of(heading: str) -> str:
    """Give the anchor that GitHub and MkDocs make of a heading."""
    words = re.sub(r"[^\w\- ]", "", heading.lower())
    return words.replace(" ", "-")


def test_the_use_is_stated_where_a_user_sees_it():
    assert "not diagnosis" in README
    assert "not diagnosis" in CELLS[0]
    assert "not diagnosis" in (ROOT / "docs/index.md").read_text(encoding="utf-8")
    assert "Privacy" in "\n".join(CELLS)


def test_commits_and_ci_are_checked_by_the_same_ruff():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (revision,) = (repo["rev"] for repo in hooks["repos"] if "ruff" in repo["repo"])
    assert f'"ruff=={revision[1:]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name
)
def test_workflows_and_forms_are_valid_yaml(path):
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)
