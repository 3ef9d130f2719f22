"""The package's version, for the manifest of a result and for pyproject.toml."""

__version__ = "0.2.0"
HOME = "OWNER/Medical-Image-Segmentation-using-U-Net"  # owner and name on GitHub; tests hold the documents to it
