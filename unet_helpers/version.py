"""The package's version, for the manifest of a result and for pyproject.toml."""

__version__ = "0.2.0"

# Owner and name of the repository on GitHub; tests hold the documents to it.
HOME = "OWNER/Medical-Image-Segmentation-using-U-Net"
