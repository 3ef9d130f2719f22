"""The cards of the pretrained networks, by name.

Each card is a JSON file beside the weights. It contains the fields that differ from the defaults of
``card.ModelCard``.
"""

import json
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .anatomy import ExpectedParts, Localise
from .card import ModelCard, Preprocessing
from .scores import Score
from .validation import check_names, require

# Former names of fields, and their names since version 0.2.
RENAMED_FIELDS = {
    "reading": "preprocessing",
    "separate": "instance_method",
    "smallest_region": "min_component_share",
}

# Fields of earlier versions that have no use any more: cards in weights' files may have them.
REMOVED_FIELDS = {"prevalence"}

# Values of the former field 'planes' of the preprocessing, and the fields that replace it.
FORMER_PLANES: dict[str, dict[str, Any]] = {
    "first": {},
    "three": {"axes": (0, 1, 2)},
    "published": {"method": "buda2019"},
}

# The folder of the shipped weights and cards.
WEIGHTS = Path(__file__).parent.parent / "weights"


def card_of(fields: dict[str, Any]) -> ModelCard:
    """Make a card from its JSON; former names of fields, and removed fields, are also accepted.

    Raises ModelError for unknown fields and for invalid values.
    """
    kept = {name: value for name, value in fields.items() if name not in REMOVED_FIELDS}
    renamed = {RENAMED_FIELDS.get(name, name): value for name, value in kept.items()}
    renamed["preprocessing"] = preprocessing_of(renamed.get("preprocessing", {}))
    if renamed.get("localise"):
        renamed["localise"], parts_of_before = localise_of(renamed["localise"])
        renamed.setdefault("expected_parts", parts_of_before)
    parts = renamed.get("expected_parts", ())
    renamed["expected_parts"] = tuple(expected_parts_of(fields) for fields in parts)
    renamed["scores"] = tuple(score_of(score) for score in renamed.get("scores", ()))

    check_names(renamed, ModelCard)
    return ModelCard(**with_tuples(renamed))


def preprocessing_of(fields: dict[str, Any]) -> Preprocessing:
    """Make the preprocessing from its JSON; the former field 'planes' is also accepted."""
    renamed = dict(fields)
    planes = renamed.pop("planes", "first")
    if planes not in FORMER_PLANES:
        raise ModelError(f"Preprocessing: planes={planes!r}: choose one of {[*FORMER_PLANES]}.")
    renamed |= FORMER_PLANES[planes]

    check_names(renamed, Preprocessing)
    return Preprocessing(**with_tuples(renamed))


def localise_of(fields: dict[str, Any]) -> tuple[Localise, list[dict[str, Any]]]:
    """Make the entry from its JSON, and the fields of expected parts that it held before 0.3.

    The former field 'volumes' was the range of the volume of a structure.
    """
    renamed = dict(fields)
    parts = []
    if "volumes" in renamed:
        parts.append({"name": "structure", "volumes": renamed.pop("volumes")})

    check_names(renamed, Localise)
    return Localise(**with_tuples(renamed)), parts


def expected_parts_of(fields: dict[str, Any]) -> ExpectedParts:
    """Make the expected parts of a structure from their JSON."""
    check_names(fields, ExpectedParts)
    return ExpectedParts(**with_tuples(fields))


def score_of(fields: dict[str, Any] | str) -> Score | str:
    """Make a score from its JSON; texts, as in earlier cards, are returned unchanged."""
    if isinstance(fields, str):
        return fields
    check_names(fields, Score)
    return Score(**fields)


def with_tuples(value: Any) -> Any:
    """Replace the lists of JSON by tuples, at any depth."""
    if isinstance(value, dict):
        return {name: with_tuples(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(with_tuples(item) for item in value)
    return value


def read_cards(folder: Path) -> dict[str, ModelCard]:
    """Read the cards of a folder, by name; the ModelError for an invalid card names its file."""
    cards = {}
    for path in sorted(folder.glob("*.json")):
        try:
            card = card_of(json.loads(path.read_text("utf-8")))
            require(card.name == path.stem, card, "name", f"the name of its file, {path.stem!r},")
        except (ModelError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{path}: {error}") from error
        cards[card.name] = card
    return cards


MODELS: dict[str, ModelCard] = read_cards(WEIGHTS)
"""The cards of the pretrained networks, by name."""
