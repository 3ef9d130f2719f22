"""What MkDocs does beyond its own: pages made from the cards, and short names in the reference.

The page of a network is made at each build from its card, from docs/ACCURACY.md and from its notes
in docs/networks/notes/, so that a figure or a licence is written down in one place.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import unet_helpers as uh
from unet_helpers.images.formats import formats_in_markdown
from unet_helpers.samples import table as table_of_samples

DOCS = Path(__file__).parent
ROOT = DOCS.parent

# Words after the language of a code block tell tests what to do with it. No reader needs them.
FENCE_MARKS = re.compile(r"^```(\w+) [\w-]+$", re.MULTILINE)

# `::: uh.segment` in a page of the reference.
PUBLIC_NAME = re.compile(r"^::: uh\.(\w+)$", re.MULTILINE)

# Files of the repository that are pages of the site as well, by the name of the page.
REPOSITORY_PAGES = {
    "contributing.md": ROOT / "CONTRIBUTING.md",
    "sample_images.md": ROOT / "sample_images" / "LICENSES.md",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages of the networks to the navigation."""
    for section in config.nav:
        if "The networks" in section:
            section["The networks"] += [f"networks/{name}.md" for name in uh.MODELS]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not files in docs/."""
    for card in uh.MODELS.values():
        page = network_page(card)
        files.append(File.generated(config, f"networks/{card.name}.md", content=page))

    for name, path in REPOSITORY_PAGES.items():
        text = path.read_text(encoding="utf-8")
        text = text.replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))

    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in tables and the names of the reference; drop the marks of code blocks."""
    markdown = markdown.replace("<!-- table of formats -->", formats_in_markdown())
    markdown = markdown.replace("<!-- table of networks -->", table_of_networks())
    markdown = PUBLIC_NAME.sub(reference_entry, markdown)
    return FENCE_MARKS.sub(r"```\1", markdown)


def reference_entry(match: re.Match[str]) -> str:
    """Give the block of mkdocstrings for `::: uh.NAME`, which finds the module that defines it."""
    name = match[1]
    public = getattr(uh, name)
    module = getattr(public, "__module__", "unet_helpers.networks.cards")
    heading = f"uh.{name}"
    options = f"    options:\n      heading: {heading}\n      toc_label: {heading}\n"
    if has_own_base(public):
        options += "      inherited_members: true\n"
    return f"::: {module}.{name}\n{options}"


def has_own_base(public: object) -> bool:
    """Tell whether a class inherits members from another class of the package."""
    bases = getattr(public, "__bases__", ())
    return any(base.__module__.startswith("unet_helpers.results") for base in bases)


def table_of_networks() -> str:
    """Give a Markdown table with a row for each card, linked to its page."""
    rows = ["| network | finds, in | score on images never seen |", "|---|---|---|"]
    for card in uh.MODELS.values():
        scores = "; ".join(card.score_texts) or "not measured here"
        finds = f"{card.title}; {card.modality}"
        rows.append(f"| [`{card.name}`]({card.name}.md) | {finds} | {scores} |")
    return "\n".join(rows)


def network_page(card: uh.ModelCard) -> str:
    """Write the page of one network in Markdown."""
    sections = [
        f"---\ntitle: {card.name}\n---",
        f"# {card.title}: `{card.name}`",
        picture_of(card),
        f"**Finds** {listed(card.classes)}. **Reads** {card.modality}. {card.intended_use}",
        example_of(card),
        "## Scores",
        scores_section(card),
        "## Limits",
        card.limits,
        notes_of(card),
        "## Data, licence and citation",
        terms_of(card),
        "## How it reads an image",
        facts_of(card),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def picture_of(card: uh.ModelCard) -> str:
    """Give the picture of a freely licensed sample, where there is one."""
    picture = DOCS / "pictures" / f"{card.name}.jpg"
    if not picture.exists():
        return ""
    return f"![{card.title}, outlined in a sample image](../pictures/{picture.name})"


def example_of(card: uh.ModelCard) -> str:
    """Give three lines of Python that use the network on one of its samples."""
    samples = [row for row in table_of_samples().values() if row["card"] == card.name]
    if not samples:
        image = '"my_volume.nii.gz"'
        remark = "  # your own file"
    else:
        sample = samples[0]
        image = f'uh.sample("{sample["name"]}")'
        remark = "" if "file" in sample else "  # fetched on first use"

    return (
        "```python\n"
        "import unet_helpers as uh\n\n"
        f'result = uh.segment({image}, "{card.name}"){remark}\n'
        "uh.show(result)\n"
        "```"
    )


def scores_section(card: uh.ModelCard) -> str:
    """Give the scores of the card, and all tables of docs/ACCURACY.md about it."""
    if not card.scores:
        return "Not measured here."

    accuracy = (DOCS / "ACCURACY.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", accuracy, flags=re.MULTILINE)[1:]
    own = [section.strip() for section in sections if section.startswith(f"`{card.name}`")]
    tables = "\n\n".join(f"### {section}" for section in own)
    explained = "How the intervals were made: [Accuracy](../ACCURACY.md)."
    return "\n".join(f"- {score}" for score in card.score_texts) + f"\n\n{explained}\n\n{tables}"


def notes_of(card: uh.ModelCard) -> str:
    """Give what docs/networks/notes/ says of the card beyond its own words."""
    notes = DOCS / "networks" / "notes" / f"{card.name}.md"
    if not notes.exists():
        return ""
    return notes.read_text(encoding="utf-8").strip()


def terms_of(card: uh.ModelCard) -> str:
    """Give the data a network learnt from, their licence, and what to cite."""
    return (
        f"- Learnt from: {card.data}.\n- Licence: {card.licence}.\n- Please cite: {card.citation}."
    )


def facts_of(card: uh.ModelCard) -> str:
    """Give a table of the card's fields that decide about the answer."""
    preprocessing = card.preprocessing
    facts = {
        "channels": preprocessing.channels,
        "intensities": preprocessing.intensities,
        "scale": preprocessing.scale,
        "size (working px)": preprocessing.size or "-",
        "spacing (mm per working px)": preprocessing.spacing or "the image's own",
        "slices read along on each side": preprocessing.context,
        "axes of a volume": listed(preprocessing.axes),
        "threshold": card.threshold,
        "copies averaged (flips)": card.flips,
        "objects are told apart by": card.instance_method,
        "features": card.features,
        "sha256 of the weights": f"`{card.sha256}`",
    }
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    meaning = "What the fields mean: [`uh.ModelCard`](../reference/networks.md)."
    return "\n".join(["| field | value |", "|---|---|", *rows]) + f"\n\n{meaning}"


def listed(values: Any) -> str:
    """Give 'a, b and c'."""
    words = [str(value) for value in values]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
