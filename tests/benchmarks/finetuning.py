"""What fine-tuning gains.

``python tests/benchmarks/finetuning.py {skin,camera} --data ../shared/data --minutes 5``

skin: a structure that no card knows, from ten images; tested on forty, against the same minutes
from random weights.
camera: a network for vessels that saw CHASE_DB1 only, then three HRF photographs; tested on HRF
persons 08 to 10.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

import unet_helpers as uh
from unet_helpers.networks.cards import MODELS
from unet_helpers.training.datasets import Case
from unet_helpers.training.examples import Example
from unet_helpers.training.fit import fit
from unet_helpers.training.tasks import read_cases
from unet_helpers.training.tasks.retinal_vessels import TASK

# HRF photographs that the network is fine-tuned with: a healthy eye, glaucoma and diabetes.
LEARNT_FROM = ("hrf_01_h", "hrf_02_g", "hrf_03_dr")

# HRF persons whose photographs it is tested on.
TESTED_PERSONS = ("08", "09", "10")


def skin(data: Path, minutes: float, start: str, seed: int) -> None:
    """Teach a network skin lesions, from a card's weights and from random ones."""
    train = data / "skin_lesions/train"
    images = sorted((train / "images").iterdir())
    masks = sorted((train / "masks").iterdir())

    for pretrained in (True, False):
        student = uh.fine_tune(
            start,
            images,
            masks,
            classes=["lesion"],
            minutes=minutes,
            pretrained=pretrained,
            seed=seed,
        )
        scores = score_skin(student, data / "skin_lesions/test")
        name = f"from {start}" if pretrained else "from scratch"
        print(
            f"{name:22} {minutes:g} min: mean {np.mean(scores):.4f}, "
            f"median {np.median(scores):.4f} of {len(scores)}"
        )


def score_skin(student: uh.UNet, folder: Path) -> list[float]:
    """Return the Dice of each image of the folder."""
    scores = []
    for path in sorted((folder / "images").iterdir()):
        truth = uh.read_image(folder / "masks" / f"{path.stem}.png").pixels
        result = uh.segment(path, student, progress=False)
        scores.append(uh.dice(truth, result.labels))
    return scores


def camera(data: Path, minutes: float, steps: int, half: bool) -> None:
    """Teach a network that knows one camera another one."""
    cases = list(read_cases("retinal_vessels", data / "retinal_vessels"))
    chase = [case for case in cases if case.kind == "chase"]
    learnt_from = [case for case in cases if case.name in LEARNT_FROM]
    tested_on = [case for case in cases if is_tested(case)]

    with TemporaryDirectory() as folder:
        train_on_one_camera(chase, Path(folder), steps, half)
        start = Path(folder) / "best.safetensors"

        images = [case.image.pixels for case in learnt_from]
        masks = [case.truth for case in learnt_from]
        student = uh.fine_tune(start, images, masks, minutes=minutes)
        print_vessels("CHASE_DB1 only", uh.load_model(start), tested_on)
        print_vessels("and three of HRF", student, tested_on)


def is_tested(case: Case) -> bool:
    """Tell whether a photograph is of a person that the networks are tested on."""
    person = case.name.removeprefix("hrf_")[:2]
    return case.kind == "hrf" and person in TESTED_PERSONS


def train_on_one_camera(cases: Sequence[Case], folder: Path, steps: int, half: bool) -> None:
    """Train from random weights, in so many steps; the folder gets best.safetensors."""
    # As much as a CPU can do.
    recipe = replace(TASK.recipe, steps=steps, batch=4, consistency=0.0, shares={})
    card = MODELS["retinal_vessels"]
    torch.manual_seed(recipe.seed)
    network = uh.UNet(card.in_channels, card.out_channels, card.features, card.depth)
    network.card = card

    train = examples_of(cases, "train")
    validation = examples_of(cases, "validation")
    fit(network, train, validation, recipe, folder, half=half)


def examples_of(cases: Sequence[Case], part: str) -> list[Example]:
    """Make the examples of one part of the cases."""
    examples: list[Example] = []
    for case in cases:
        if case.part == part:
            examples.extend(TASK.examples(MODELS["retinal_vessels"], case))
    return examples


def print_vessels(name: str, model: uh.UNet, cases: Sequence[Case]) -> None:
    """Print the mean Dice of a network."""
    scores = []
    for case in cases:
        result = uh.segment(case.image, model, progress=False)
        scores.append(TASK.score(case, result)["Dice"])
    print(f"{name:18} mean Dice {np.mean(scores):.4f} on {len(cases)} photographs of HRF 08 to 10")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the arguments of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("test", choices=("skin", "camera"))
    add("--data", type=Path, required=True)
    add("--minutes", type=float, default=5.0)
    add("--start", default="lungs", help="skin: the card to start from")
    seed_help = "skin: of the crops and of the random weights"
    add("--seed", type=int, default=0, help=seed_help)
    add("--steps", type=int, default=1000, help="camera: of the training on CHASE_DB1")
    half_help = "camera: that training in bfloat16, as in train.py"
    add("--half", action="store_true", help=half_help)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measure the gain in one of the two cases."""
    chosen = parse(arguments)
    if chosen.test == "skin":
        skin(chosen.data, chosen.minutes, chosen.start, chosen.seed)
    else:
        camera(chosen.data, chosen.minutes, chosen.steps, chosen.half)


if __name__ == "__main__":
    main()
