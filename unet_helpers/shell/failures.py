"""The images that a command could not read: its messages about them, and its exit status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .console import EXIT_GOOD, EXIT_NOTHING_DONE, EXIT_SOME_FAILED, Console

if TYPE_CHECKING:
    from ..inference.sources import Source


@dataclass
class Failures:
    """Counts the images that failed, while the command goes on with the others."""

    console: Console

    # All images of the command.
    images: int

    failed: int = 0

    def add(self, source: Source, error: Exception) -> None:
        """Say what is wrong with an image; a file that promises none is left out, not failed."""
        from ..inference.batch import row_of_error

        row = row_of_error(source, error)
        if row.status == "failed":
            self.failed += 1
            self.console.say(f"error: {row.error}")
        else:
            self.console.say(f"{row.status}: {row.error}")

    @property
    def exit_status(self) -> int:
        """The exit status of the command."""
        if not self.failed:
            return EXIT_GOOD
        if self.failed == self.images:
            return EXIT_NOTHING_DONE
        return EXIT_SOME_FAILED
