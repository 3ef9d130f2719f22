"""The package's version, for the manifest of a result and for pyproject.toml."""

__version__ = "0.2.0"
