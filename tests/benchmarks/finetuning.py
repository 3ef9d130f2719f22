"""What fine-tuning gains: ``python tests/benchmarks/finetuning.py {skin,camera} --data ../shared/data --minutes 5``.

skin: a structure no card knows, from ten images; tested on forty, against the same minutes from random weights.
camera: a vessels network that saw CHASE_DB1 only, then three HRF photographs; tested on HRF persons 08 to 10.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import unet_helpers as uh
from unet_helpers.networks.cards import MODELS
from unet_helpers.training.fit import fit
from unet_helpers.training.tasks import read_cases
from unet_helpers.training.tasks.retinal_vessels import TASK


def skin(data: Path, minutes: float, start: str, seed: int) -> None:
    train, test = data / "skin_lesions/train", data / "skin_lesions/test"
    images, masks = (sorted((train / part).iterdir()) for part in ("images", "masks"))
    for pretrained in (True, False):
        options = {
            "classes": ["lesion"],
            "minutes": minutes,
            "pretrained": pretrained,
            "seed": seed,
        }
        student = uh.fine_tune(start, images, masks, **options)
        scores = []
        for path in sorted((test / "images").iterdir()):
            truth = uh.read_image(test / "masks" / f"{path.stem}.png").pixels
            scores.append(uh.dice(truth, uh.segment(path, student, progress=False).labels))
        head = f"from {start}" if pretrained else "from scratch"
        print(
            f"{head:22} {minutes:g} min: mean {np.mean(scores):.4f}, median {np.median(scores):.4f} of {len(scores)}"
        )


def camera(data: Path, minutes: float, steps: int, half: bool) -> None:
    cases = list(read_cases("retinal_vessels", data / "retinal_vessels"))
    chase = [case for case in cases if case.kind == "chase"]
    learn = [c for c in cases if c.name in ("hrf_01_h", "hrf_02_g", "hrf_03_dr")]
    test = [c for c in cases if c.kind == "hrf" and c.name[4:6] in ("08", "09", "10")]
    # as much as a CPU can do
    recipe = replace(TASK.recipe, steps=steps, batch=4, consistency=0.0, shares={})
    card = MODELS["retinal_vessels"]
    torch.manual_seed(recipe.seed)
    network = uh.UNet(card.in_channels, card.out_channels, card.features, card.depth)
    network.card = card
    parts = {
        p: [e for c in chase if c.part == p for e in TASK.examples(card, c)]
        for p in ("train", "validation")
    }
    with TemporaryDirectory() as folder:
        fit(network, parts["train"], parts["validation"], recipe, Path(folder), half=half)
        start = Path(folder) / "best.safetensors"
        images, masks = [c.image.pixels for c in learn], [c.truth for c in learn]
        student = uh.fine_tune(start, images, masks, minutes=minutes)
        for name, model in (
            ("CHASE_DB1 only", uh.load_model(start)),
            ("and three of HRF", student),
        ):
            answers = [uh.segment(c.image, model, progress=False) for c in test]
            scores = [TASK.score(c, a)["Dice"] for c, a in zip(test, answers, strict=True)]
            print(
                f"{name:18} mean Dice {np.mean(scores):.4f} on {len(test)} photographs of HRF 08 to 10"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("test", choices=("skin", "camera"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--start", default="lungs", help="skin: the card to start from")
    parser.add_argument(
        "--seed", type=int, default=0, help="skin: of the crops and of the random weights"
    )
    parser.add_argument(
        "--steps", type=int, default=1000, help="camera: of the training on CHASE_DB1"
    )
    parser.add_argument(
        "--half", action="store_true", help="camera: that training in bfloat16, as in train.py"
    )
    chosen = parser.parse_args()
    if chosen.test == "skin":
        skin(chosen.data, chosen.minutes, chosen.start, chosen.seed)
    else:
        camera(chosen.data, chosen.minutes, chosen.steps, chosen.half)
