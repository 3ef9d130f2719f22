"""The same from a shell: ``python -m unet_helpers IMAGE... --model CARD --out DIR``, or one of ``COMMANDS`` first."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from . import MODELS, UNetHelpersError, load_model, read_image, segment
from .preprocessing.checks import check_input
from .results.measurements import in_words

COMMANDS = {"train": "train", "evaluate": "evaluate"}
EPILOG = """exit status: 0 all images segmented, 1 some failed (the others are saved), 2 nothing could be done

other commands, each with its own --help: train, evaluate

models:
""" + "\n".join(f"  {card.name:22} {card.title.lower()} ({card.modality})" for card in MODELS.values())


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m unet_helpers",
        description="Segment medical images with a pretrained U-Net. Research and teaching, not diagnosis.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image file, NIfTI volume or DICOM folder")
    parser.add_argument("--model", required=True, choices=sorted(MODELS), metavar="CARD", help="one of those below")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    parser.add_argument("--threshold", type=probability, metavar="P", help="0 to 1; default: the card's own")
    parser.add_argument("--flips", type=int, choices=(1, 2, 4, 8), help="answers averaged; default: the card's own")
    parser.add_argument(
        "--zoom", type=float, metavar="Z", help="working px per image px; default: found from the image"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace earlier results of the same name")
    return parser.parse_args(arguments)


def probability(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in COMMANDS:
        import_module(f".training.{COMMANDS[arguments[0]]}", __package__).main(arguments[1:])
        return 0
    chosen = parse(arguments)
    try:
        model = load_model(chosen.model)
    except UNetHelpersError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    failed = 0
    for source in chosen.images:
        try:
            image = read_image(source)
            for words in (*image.notes, *check_input(image, model.card)):  # before the network takes its time
                print(f"{source}: {words}", file=sys.stderr, flush=True)
            result = segment(image, model, threshold=chosen.threshold, flips=chosen.flips, zoom=chosen.zoom)
            paths = result.save(chosen.out, overwrite=chosen.overwrite)
            print(f"{source}: {in_words(result.summary())} -> {paths['labels']}")
        except UNetHelpersError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
    return 0 if not failed else 2 if failed == len(chosen.images) else 1


if __name__ == "__main__":
    sys.exit(main())
