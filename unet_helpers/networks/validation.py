"""Check the fields of a card: their types against the annotations, and their values."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin

from ..errors import ModelError
from ..number_types import is_number, is_whole_number
from ..spelling import most_similar, question


def check_types(instance: Any) -> None:
    """Raise ModelError if a dataclass's field has a wrong type or is not among the choices."""
    class_name = type(instance).__name__
    for field in fields(instance):
        value = getattr(instance, field.name)
        if not fits(value, field.type):
            advice = advice_on(value, field.type)
            raise ModelError(f"{class_name}: {field.name}={value!r}: {advice}")


def require(sensible: bool, instance: Any, name: str, needed: str) -> None:
    """Raise ModelError with a field's name, its value and what is needed, unless ``sensible``."""
    if not sensible:
        value = getattr(instance, name)
        raise ModelError(f"{type(instance).__name__}: {name}={value!r}: {needed} is needed.")


def check_names(names: Iterable[str], cls: type) -> None:
    """Raise ModelError for a name that is no field of a dataclass; it suggests the nearest name."""
    field_names = [field.name for field in fields(cls)]
    for name in names:
        if name not in field_names:
            raise ModelError(
                f"{cls.__name__} has no field {name!r}.{question(most_similar(name, field_names))} "
                f"Choose from {', '.join(field_names)}."
            )


def fits(value: object, hint: Any) -> bool:
    """Return whether a value has the annotated type; supports the annotations that cards use."""
    choices = get_args(hint)
    if get_origin(hint) is Literal:
        return any(value == choice and type(value) is type(choice) for choice in choices)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and items_fit(value, choices)
    if choices:
        return any(fits(value, choice) for choice in choices)
    if hint is float:
        return is_number(value)
    if hint is int:
        return is_whole_number(value)
    return isinstance(value, hint)


def items_fit(items: tuple[object, ...], hints: tuple[Any, ...]) -> bool:
    """Return whether the items fit the arguments of ``tuple[X, ...]`` or of ``tuple[X, Y]``."""
    if hints[-1] is Ellipsis:
        return all(fits(item, hints[0]) for item in items)
    if len(items) != len(hints):
        return False
    return all(fits(item, hint) for item, hint in zip(items, hints, strict=True))


def advice_on(value: object, hint: Any) -> str:
    """Write which values would fit instead of ``value``."""
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        words = [choice for choice in choices if isinstance(choice, str)]
        suggestion = question(most_similar(str(value), words))
        return f"choose one of {', '.join(map(repr, choices))}.{suggestion}"

    type_name = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
    return f"a value of the type {type_name} is needed."
