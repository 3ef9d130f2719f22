"""``unet-helpers models``: lists the networks, or tells what is known about one."""

from __future__ import annotations

import textwrap

import click

from ..errors import ModelError
from ..networks.cards import MODELS, ModelCard
from .console import Command
from .options import CardType, in_a_sentence, model_lines

WIDTH = 98


@click.command(cls=Command, short_help="List the networks, or tell about one.")
@click.argument("card", required=False, type=CardType(), metavar="[CARD]")
def command(card: str | None) -> None:
    """List the pretrained networks; with CARD: its scores, data, licence and limits."""
    if card is None:
        click.echo("\n".join(line.strip() for line in model_lines()))
        return
    if card not in MODELS:
        raise ModelError(f"There is no network {card!r}: choose one of {', '.join(MODELS)}.")
    for name, text in facts_of(MODELS[card]).items():
        lines = textwrap.wrap(f"{name:14}{text}", WIDTH, subsequent_indent=" " * 14)
        click.echo("\n".join(lines))


def facts_of(card: ModelCard) -> dict[str, str]:
    """Return what a person asks about a network, by the words for it."""
    facts = {
        "name": card.name,
        "finds": f"{in_a_sentence(card.title)} ({', '.join(card.classes)})",
        "in": card.modality,
        "scores": "; ".join(card.score_texts),
        "trained on": card.data,
        "licence": card.licence,
        "cite": card.citation,
        "limits": card.limits,
        "use": card.intended_use,
    }
    return {name: text for name, text in facts.items() if text}
