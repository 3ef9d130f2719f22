"""The package's version, for the manifest of a result and for pyproject.toml."""

__version__ = "0.2.0"

# Owner and name of the repository on GitHub, from which all addresses are made. 'OWNER' stands for
# an account that is not known yet; ``python docs/set_home.py ACCOUNT/NAME`` writes it here and to
# all documents, and tests hold those to it.
HOME = "OWNER/Medical-Image-Segmentation-using-U-Net"
