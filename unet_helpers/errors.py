"""The package's own errors: each says what is wrong with which file, and what to do about it."""


class UNetHelpersError(Exception):
    """Base of every error this package raises on purpose.

    A notebook shows it as one sentence, without the calls inside the package that led to it.
    Elsewhere it is an exception like others.
    """

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class ImageError(UNetHelpersError):
    """An image file that cannot be read, or is not what it says it is."""


class ModelError(UNetHelpersError):
    """An unknown card, or weights that are missing, damaged or of another network."""


class DownloadError(UNetHelpersError):
    """A file that could not be fetched, or arrived with the wrong bytes."""


class SaveError(UNetHelpersError):
    """A result that cannot be written, or would overwrite an earlier one."""


class TrainingError(UNetHelpersError):
    """Training data or settings that a network cannot be trained with."""


class ArgumentError(UNetHelpersError, ValueError):
    """An argument that makes no sense: a threshold of 2, a level that the network does not have."""
