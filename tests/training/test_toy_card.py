"""A card is its task file, its JSON and its weights: nothing else in the package has to be touched.

The package is copied, the files of the example of CONTRIBUTING.md are put beside the others, and
the commands of a contributor and of a user run on the copy.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.places import ROOT

PICTURES = 20


def example_of_card() -> dict[str, str]:
    """The task file and the card of the example, by language."""
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    blocks = re.findall(r"^```(\w+) card\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return dict(blocks)


def draw_discs(folder: Path) -> None:
    """Write pictures of a bright disc on a dark, noisy ground, and their masks."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)

    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        centre = rng.integers(20, 44, 2).tolist()
        mask = cv2.circle(np.zeros((64, 64), np.uint8), centre, 12, 255, thickness=-1)
        pixels = 40 + 0.6 * mask + rng.normal(0, 8, mask.shape)
        cv2.imwrite(str(folder / "images" / f"{number:02}.png"), pixels.clip(0, 255))
        cv2.imwrite(str(folder / "masks" / f"{number:02}.png"), mask)


class Contributor:
    """Somebody with a copy of the package, who runs commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "unet_helpers"
        shutil.copytree(ROOT / "unet_helpers", self.package)
        shutil.copytree(ROOT / "sample_images", folder / "sample_images")

    def run(self, *arguments: str) -> str:
        """Run Python in the copy, and return what it prints."""
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ship(self, weights: Path) -> None:
        """Put trained weights beside the card, which names their SHA-256."""
        card_file = self.package / "weights" / "discs.json"
        shutil.copy(weights, card_file.with_suffix(".safetensors"))
        card = json.loads(card_file.read_text("utf-8"))
        card["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
        card_file.write_text(json.dumps(card), "utf-8")


@pytest.fixture(scope="module")
def contributor(tmp_path_factory) -> Contributor:
    """The example's card, trained for its ten steps and shipped in a copy of the package."""
    contributor = Contributor(tmp_path_factory.mktemp("copy"))
    example = example_of_card()
    package = contributor.package
    (package / "weights" / "discs.json").write_text(example["json"], "utf-8")
    (package / "training" / "tasks" / "discs.py").write_text(example["python"], "utf-8")
    draw_discs(contributor.folder / "data")

    # A higher learning rate, so that ten steps are enough for such a picture.
    options = ["--data", "data", "--rate", "0.02"]
    contributor.run("-m", "unet_helpers", "train", "discs", *options)
    contributor.ship(contributor.folder / "runs" / "discs" / "last.safetensors")
    return contributor


def test_its_curve_has_the_ten_steps_of_its_recipe(contributor):
    curve = (contributor.folder / "runs" / "discs" / "curve.csv").read_text()
    assert curve.splitlines()[-1].startswith("10,")


def test_it_is_evaluated_on_its_test_part(contributor):
    printed = contributor.run("-m", "unet_helpers", "evaluate", "discs", "--data", "data")
    assert "Dice disc" in printed
    assert "all (2) mean" in re.sub(" +", " ", printed)


def test_it_is_found_by_its_name_and_segments(contributor):
    script = (
        "import unet_helpers as uh\n"
        "result = uh.segment('data/images/00.png', 'discs', progress=False)\n"
        "truth = uh.read_image('data/masks/00.png').pixels\n"
        "print('discs' in uh.MODELS, result.card.title, result.labels.shape == truth.shape)\n"
    )
    assert contributor.run("-c", script).split() == ["True", "Discs", "True"]
