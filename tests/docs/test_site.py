"""The site: nothing public is missing, and the page of a network says all of its card."""

import re

import pytest
import yaml
from helpers.places import ROOT

import unet_helpers as uh

site_hooks = pytest.importorskip("docs.site_hooks", reason="needs MkDocs")

REFERENCE = "\n".join(
    path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.md")
)


def test_every_public_name_is_in_the_reference_once():
    named = re.findall(r"^::: uh\.(\w+)$", REFERENCE, re.MULTILINE)
    assert sorted(named) == sorted(set(uh.__all__) - {"__version__"})


def test_a_name_of_the_reference_becomes_the_module_that_defines_it():
    page = site_hooks.on_page_markdown("::: uh.segment\n")
    assert page.startswith("::: unet_helpers.inference.segment.segment\n")
    assert "heading: uh.segment" in page


def test_the_reference_of_a_result_has_its_masks_and_labels():
    page = site_hooks.on_page_markdown("::: uh.Segmentation\n")
    assert "inherited_members: true" in page
    assert "inherited_members" not in site_hooks.on_page_markdown("::: uh.UNet\n")
    assert {"mask", "labels", "objects"} <= set(dir(uh.Segmentation))


def test_marks_of_code_blocks_are_not_shown():
    page = site_hooks.on_page_markdown("```sh no-run\npip install x\n```\n")
    assert page == "```sh\npip install x\n```\n"


@pytest.mark.parametrize("card", uh.MODELS.values(), ids=uh.MODELS)
def test_the_page_of_a_network_says_all_of_its_card(card):
    page = site_hooks.network_page(card)
    for words in (card.title, card.modality, card.limits, card.data, card.licence, card.citation):
        assert words in page
    for text in (*card.score_texts, *card.classes, card.sha256):
        assert text in page


def test_the_page_of_a_network_has_its_tables_of_accuracy_and_its_picture():
    page = site_hooks.network_page(uh.MODELS["nuclei"])
    accuracy = (ROOT / "docs" / "ACCURACY.md").read_text(encoding="utf-8")
    own = accuracy[accuracy.index("## `nuclei` on other") : accuracy.index("## `nuclei_he`")]
    for line in own.strip().splitlines():
        assert line in page
    assert "### `nuclei` on `nuclei_he`: never seen" in page
    assert "](../pictures/nuclei.jpg)" in page
    assert "pictures" not in site_hooks.network_page(uh.MODELS["lungs"])


def test_the_table_of_networks_links_to_every_page():
    page = site_hooks.on_page_markdown("<!-- table of networks -->")
    assert all(f"[`{name}`]({name}.md)" in page for name in uh.MODELS)


def test_notes_belong_to_networks():
    notes = {path.stem for path in (ROOT / "docs" / "networks" / "notes").glob("*.md")}
    assert notes <= set(uh.MODELS)


def test_the_site_needs_no_network_when_it_is_read():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert settings["theme"]["font"] is False
    assert "extra_javascript" not in settings
    assert "repo_url" not in settings  # the theme would ask GitHub for stars
