"""The same from a shell: ``python -m unet_helpers IMAGE... --out DIR``, or one of ``COMMANDS`` first."""

import argparse
import sys
from concurrent.futures import Executor
from importlib import import_module
from inspect import signature
from pathlib import Path

from . import MODELS, ImageError, UNetHelpersError, __version__, read_image, segment_folder
from .inference.segment import with_suggestion
from .inference.sources import find_images

COMMANDS = ("train", "evaluate")  # modules of ``training``
EPILOG = """exit status: 0 all images segmented, 1 some failed (the others are saved) or, with --strict, had warnings,
2 nothing was done, or all work was broken off. DIR/summary.csv tells of each image; the same command on a folder or
pattern goes on where it stopped.

other commands, each with its own --help: train, evaluate

models:
""" + "\n".join(
    f"  {card.name:22} {card.title.lower()} ({card.modality})" for card in MODELS.values()
)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m unet_helpers",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Segment medical images with a pretrained U-Net. Research and teaching, not diagnosis.",
        argument_default=argparse.SUPPRESS,  # what is not given is left to the card and the reader
    )
    add = parser.add_argument
    add(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="file, folder (with all folders in it), pattern or web address",
    )
    add(
        "--model",
        metavar="CARD",
        help="of those below, or a .safetensors file; default: what fits the first image",
    )
    add("--out", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    add("--threshold", type=float, metavar="P", help="0 to 1; default: the card's own")
    add(
        "--flips",
        type=int,
        metavar="N",
        help="answers averaged: 1, 2, 4 or 8; default: the card's own",
    )
    add(
        "--zoom",
        type=float,
        metavar="Z",
        help="working px per image px; default: found from the image",
    )
    add(
        "--channel",
        type=lambda c: int(c) if c.isdecimal() else c,
        metavar="C",
        help="from 0, or its name or colour",
    )
    add("--frame", type=int, metavar="N", help="of a film or a DICOM file, from 0")
    add("--page", type=int, metavar="N", help="of a TIFF or GIF, from 0")
    add("--volume", type=int, metavar="N", help="of a 4D NIfTI file, from 0")
    add(
        "--series",
        metavar="S",
        help="of a DICOM folder: UID, number or description; default: all, one by one",
    )
    parser.register(
        "type",
        "mm",
        lambda text: tuple(map(float, text.split(","))) if "," in text else float(text),
    )
    add(
        "--spacing",
        type="mm",
        metavar="MM",
        help="mm per px, one number or one an axis: 0.5 or 3,0.9,0.9",
    )
    add("--overwrite", action="store_true", default=False, help="replace earlier results")
    add(
        "--strict",
        action="store_true",
        default=False,
        help="exit status 1 where an image has a warning",
    )
    add(
        "--scheduler",
        default=None,
        metavar="ADDRESS",
        help="of a Dask cluster that does the work: tcp://HOST:8786",
    )
    add("--json", action="store_true", default=False, help="print the summary as JSON")
    add("--version", action="version", version=__version__)
    return parser.parse_args(arguments)


def executor_of(address: str) -> Executor:
    try:
        from distributed import Client

        return Client(address, timeout="10s").get_executor()
    except (ImportError, OSError, ValueError) as error:
        advice = "It takes a scheduler at that address, and: pip install distributed"
        raise UNetHelpersError(f"--scheduler {address}: {error}. {advice}") from error


def suggested(images: list[str], options: dict) -> str:
    """The network that fits the first image, which is said; UNetHelpersError where there is none of either."""
    reading = {
        name: options[name] for name in options.keys() & signature(read_image).parameters.keys()
    }
    problem = ImageError(f"{', '.join(images)}: there is nothing in this folder.")
    for item in find_images(images, "series" in reading):
        try:
            image, name = with_suggestion(read_image(item.image, **reading | item.options))
            print(f"{item.image}: {image.notes[-1]}", file=sys.stderr)
            return name
        except ImageError as error:  # the next one may be read
            problem = error
    raise problem


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments and arguments[0] in COMMANDS:
            import_module(f".training.{arguments[0]}", __package__).main(arguments[1:])
            return 0
        options = vars(parse(arguments))
        images, strict, as_json, address = (
            options.pop(name) for name in ("images", "strict", "json", "scheduler")
        )
        if "model" not in options:
            options["model"] = suggested(images, options)
        table = segment_folder(
            images, executor=executor_of(address) if address else None, **options
        )
    except UNetHelpersError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if as_json:
        print(table.to_json(orient="records", force_ascii=False, indent=2))
    else:
        shown = table.drop(columns=["notes", "explanation", "error", "result"])
        shown["warnings"] = [text.count(" | ") + bool(text) for text in table["warnings"]]
        print(shown.loc[:, (shown != "").any()].to_string(index=False, na_rep=""))
        counts = ", ".join(f"{n} {status}" for status, n in table["status"].value_counts().items())
        print(f"{counts}; {options['out'] / 'summary.csv'} says more.")
    again = all(
        Path(image).expanduser().is_file() for image in images
    )  # asked for one by one, not to go on
    good = table["status"].isin(["saved"] if again else ["saved", "done before"])
    failed = ~good & (table["status"] != "left out")
    return 2 if not good.any() else int(failed.any() or (strict and bool(table["warnings"].any())))


if __name__ == "__main__":
    sys.exit(main())
