"""Finds the name that a misspelt one probably means."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def most_similar(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that is spelt most like ``word``, in any case; None if none is similar."""
    by_lower_case = {choice.lower(): choice for choice in choices}
    near = get_close_matches(word.lower(), list(by_lower_case), n=1)
    return by_lower_case[near[0]] if near else None


def question(similar: str | None) -> str:
    """Write a question that suggests a similar name, to follow a sentence; '' if there is none."""
    return f" Did you mean {similar!r}?" if similar else ""
