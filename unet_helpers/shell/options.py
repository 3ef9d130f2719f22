"""The options that several commands share, and the types of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ..networks.cards import MODELS, ModelCard
from .console import console_of

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Decorated], Decorated]

# A path that the shell completes. The reader checks whether it exists: it may be a pattern.
FILE = click.Path(path_type=Path)


class CardType(click.ParamType):
    """The name of a card, or a file of weights; completed from both."""

    name = "card"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the cards that begin so, and files."""
        cards = [CompletionItem(name) for name in MODELS if name.startswith(incomplete)]
        return cards or [CompletionItem(incomplete, type="file")]


def channel(text: str) -> int | str:
    """Parse ``--channel``: an index, or the name or colour of a channel."""
    if text.isdecimal():
        return int(text)
    return text


def diameter(text: str) -> float | str:
    """Parse ``--diameter``: a number of px, or a length with its unit."""
    try:
        return float(text)
    except ValueError:
        return text


def millimetres(text: str) -> float | tuple[float, ...]:
    """Parse ``--spacing`` in mm: one number for all axes, or one for each axis, with commas."""
    try:
        if "," in text:
            return tuple(float(number) for number in text.split(","))
        return float(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no number of mm, such as 0.5 or 3,0.9,0.9"
        ) from error


def together(*decorators: Decorator) -> Decorator:
    """Join options into one decorator, in the order in which help shows them."""

    def decorate(function: Decorated) -> Decorated:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def set_quiet(ctx: click.Context, _: click.Parameter, given: bool) -> None:
    """Note that -q was given."""
    console_of(ctx).is_quiet = given


def set_verbose(ctx: click.Context, _: click.Parameter, given: bool) -> None:
    """Note that -v was given."""
    console_of(ctx).is_verbose = given


IMAGES = click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path())

MODEL = click.option(
    "-m",
    "--model",
    type=CardType(),
    metavar="CARD",
    help="Name of a network, or a .safetensors file. Default: for each image what fits it.",
)

OVERWRITE = click.option(
    "--overwrite", is_flag=True, help="Replace earlier results of other settings."
)

VERBOSITY = together(
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=set_verbose,
        help="Say also how each answer was made, and where in the code an error arose.",
    ),
    click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=set_quiet,
        help="Say nothing but warnings and errors.",
    ),
)

SETTINGS = together(
    click.option(
        "--threshold", type=float, metavar="P", help="0 to 1. Default: the network's own."
    ),
    click.option(
        "--flips",
        type=int,
        metavar="N",
        help="Answers averaged: 1, 2, 4 or 8. Default: the network's own.",
    ),
    click.option(
        "--zoom",
        type=float,
        metavar="Z",
        help="Working px per image px. Default: found from the image.",
    ),
    click.option(
        "--diameter",
        type=diameter,
        metavar="D",
        help="Width of a typical object, instead of the zoom: px of the image, or '8 µm'.",
    ),
)

# Of an image on disk that may be larger than memory, these can be chosen, too.
READING_OF_PLANES = together(
    click.option("--channel", type=channel, metavar="C", help="From 0, or its name or colour."),
    click.option("--frame", type=int, metavar="N", help="Of a film or a DICOM file, from 0."),
    click.option("--page", type=int, metavar="N", help="Of a TIFF or GIF, from 0."),
    click.option("--level", type=int, metavar="N", help="Of an image pyramid, 0 is the finest."),
    click.option(
        "--series",
        metavar="S",
        help="Of a DICOM folder: UID, number or description (default: all, one by one); "
        "of a microscope's file: number or name.",
    ),
    click.option(
        "--spacing",
        type=millimetres,
        metavar="MM",
        help="mm per px, one number or one an axis: 0.5 or 3,0.9,0.9.",
    ),
)

READING = together(
    READING_OF_PLANES,
    click.option("--volume", type=int, metavar="N", help="Of a 4D NIfTI file, from 0."),
    click.option(
        "--select",
        metavar="NAME=VALUE",
        help="Images of a DICOM series by an attribute, such as AcquisitionNumber=2.",
    ),
    click.option(
        "--axes",
        metavar="LETTERS",
        help="Of an array (.npy), a letter an axis: T, Z, C, Y, X, such as CYX.",
    ),
)


def given(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave out options that were not given, so that the defaults of the card and reader apply."""
    return {name: value for name, value in settings.items() if value is not None}


def model_lines(cards: Iterable[ModelCard] = MODELS.values()) -> list[str]:
    """Return a line for each network: its name, what it finds, and in which images."""
    return [f"  {card.name:22} {in_a_sentence(card.title)} ({card.modality})" for card in cards]


def in_a_sentence(title: str) -> str:
    """Return a title with a small first letter, unless it begins with an abbreviation (FLAIR)."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def networks_below() -> str:
    """Return the list of networks for the end of a command's help."""
    return listed_below(model_lines())


def trained_networks_below() -> str:
    """Return the list of the networks that are trained here, for the end of a command's help.

    The weights of the others are fetched from where they were published.
    """
    return listed_below(model_lines(card for card in MODELS.values() if not card.url))


def listed_below(lines: list[str]) -> str:
    """Return the lines for the end of a command's help; click keeps their breaks."""
    return "\b\nNetworks:\n" + "\n".join(lines)
