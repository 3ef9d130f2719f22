"""The functions of the kernel that a page calls; here they are only remembered."""

from collections.abc import Callable
from typing import Any

CALLBACKS: dict[str, Callable[..., Any]] = {}


def register_callback(name: str, function: Callable[..., Any]) -> None:
    """Remember a function by the name by which a page calls it."""
    CALLBACKS[name] = function
