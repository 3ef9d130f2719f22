"""Commands whose module of ``training`` parses the words itself, also ``--help``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from .console import EXIT_GOOD

# Settings of a click command that leave all words to the module.
PASSED_ON: dict[str, Any] = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def run_module(name: str, arguments: Sequence[str]) -> int:
    """Run ``main`` of a module of ``training``; return the exit status."""
    module = import_module(f"..training.{name}", __package__)
    try:
        module.main(list(arguments))
    except SystemExit as exit:
        # argparse leaves so after --help, and where it refuses a word.
        return exit.code if isinstance(exit.code, int) else EXIT_GOOD
    return EXIT_GOOD
