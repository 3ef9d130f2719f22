"""The shell command ``unet-helpers page CARD``."""

import argparse

from ..networks.load import load_model
from .page import page


def main(arguments: list[str]) -> None:
    """Write a network as one HTML file, and print its path."""
    parser = argparse.ArgumentParser(
        prog="unet-helpers page",
        description="Write a network as one HTML file that works by double click, without Python.",
    )
    words = "name of a network that reads single images, or a .safetensors file"
    parser.add_argument("card", metavar="CARD", help=words)
    parser.add_argument("file", nargs="?", metavar="FILE", help="default: CARD.html")
    words = "replace an earlier file"
    parser.add_argument("--overwrite", action="store_true", help=words)
    options = parser.parse_args(arguments)

    network = load_model(options.card, engine="torch")
    path = options.file or f"{network.card.name}.html"
    print(page(network, path, overwrite=options.overwrite))
