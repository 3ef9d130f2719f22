"""The training loop, on a CPU or a GPU: ``fit(model, train, validation, recipe, folder)``.

The moving average of the weights is updated by torch's own function. torch's ``AveragedModel`` is
not used: it copies the weights at the first step, has no rising decay, and its tensors have other
names than those in earlier checkpoints. torch's schedulers are not used either: none is the product
of a linear rise and half a cosine, and ``learning_rate_at`` needs no state to resume.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm.auto import tqdm

from ..errors import TrainingError
from ..files import written_whole
from ..networks.load import save_model
from ..networks.unet import UNet
from .augment import batch_of
from .examples import IGNORED, Example
from .losses import as_two_classes, loss_of_step
from .overlap import count_overlapping
from .recipes import Recipe
from .rng import StepRng
from .windows import ExamplePool

if TYPE_CHECKING:
    import pandas as pd

# About how many validation examples are used at each check, evenly spaced.
MAX_VALIDATION_EXAMPLES = 64

# The learning rate rises over a tenth of all steps, but over no more than this.
MAX_WARM_UP_STEPS = 100

# seed of a step = seed of the recipe * SEED_STRIDE + step, so that recipes with different seeds
# have no step's seed in common.
SEED_STRIDE = 1_000_003


@dataclass(frozen=True)
class CurvePoint:
    """Loss and validation Dice at one check of the training."""

    step: int
    # Mean over the steps since the previous check.
    loss: float
    # Dice of the moving average; -loss if there are no validation examples.
    validation_dice: float


@dataclass
class TrainingState:
    """All that is needed to resume a training."""

    model: UNet
    # Moving average of the model's weights, in eval mode.
    average: UNet
    optimiser: torch.optim.Optimizer
    step: int
    curve: list[CurvePoint]

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        checkpoint = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "curve": [list(astuple(point)) for point in self.curve],
        }
        with written_whole(path) as part:
            torch.save(checkpoint, part)

    def load(self, path: Path, device: str | torch.device) -> None:
        """Resume from a checkpoint."""
        checkpoint = torch.load(path, weights_only=True, map_location=device)
        self.model.load_state_dict(checkpoint["model"])
        self.average.load_state_dict(checkpoint["average"])
        self.optimiser.load_state_dict(checkpoint["optimiser"])
        self.step = checkpoint["step"]
        self.curve = [CurvePoint(*row) for row in checkpoint["curve"]]

    def curve_table(self) -> pd.DataFrame:
        """Return the curve as a table: step, loss and validation_dice."""
        import pandas as pd

        return pd.DataFrame(self.curve, columns=["step", "loss", "validation_dice"])


def fit(
    model: UNet,
    train: Sequence[Example],
    validation: Sequence[Example],
    recipe: Recipe,
    folder: Path,
    *,
    checks: int = 8,
    half: bool = False,
    device: str | torch.device = "cpu",
    at_check: Callable[[UNet, CurvePoint], object] | None = None,
) -> UNet:
    """Train ``model`` and return the moving average of its weights, on the CPU.

    At each of ``checks``, evenly spaced, checkpoint.pt, curve.csv, best.safetensors and
    last.safetensors are written to ``folder``; the training resumes from checkpoint.pt if there is
    one. ``half`` convolves in bfloat16, which is faster on devices that support it. ``at_check`` is
    then called with the moving average, which it must not change, and the point of the curve.
    """
    check_examples(model, train)
    folder.mkdir(parents=True, exist_ok=True)
    torch.backends.cudnn.benchmark = True

    pool = ExamplePool(train, device, recipe.shares)
    state = starting_state(model, recipe, folder, device)

    losses = []
    with tqdm(initial=state.step, total=recipe.steps, desc=folder.name, mininterval=10) as bar:
        while state.step < recipe.steps:
            losses.append(train_one_step(state, pool, recipe, half))
            state.step += 1
            bar.update()

            if is_check(state.step, checks, recipe.steps):
                point = check(state, losses, validation, folder)
                bar.set_postfix(loss=f"{point.loss:.3f}", score=f"{point.validation_dice:.4f}")
                losses = []
                if at_check is not None:
                    at_check(state.average, point)

    state.average.curve = state.curve_table()
    return state.average.cpu()


def check_examples(model: UNet, train: Sequence[Example]) -> None:
    """Raise TrainingError if there are no examples, or their channels do not fit the network."""
    if not train:
        raise TrainingError("No training examples: give at least one image with its mask.")

    channels = len(train[0].pixels)
    if channels != model.in_channels:
        raise TrainingError(
            f"The network reads {model.in_channels} channels, but examples have {channels}."
        )


def starting_state(
    model: UNet, recipe: Recipe, folder: Path, device: str | torch.device
) -> TrainingState:
    """Start with the model as it is, or from the checkpoint in the folder."""
    model = model.to(device).to_fastest()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    average = copy.deepcopy(model).eval()
    state = TrainingState(model=model, average=average, optimiser=optimiser, step=0, curve=[])

    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        state.load(checkpoint, device)
    return state


def train_one_step(
    state: TrainingState, pool: ExamplePool, recipe: Recipe, half: bool
) -> torch.Tensor:
    """Train on one batch, and return its loss."""
    rng = StepRng(recipe.seed * SEED_STRIDE + state.step, pool.device)
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate_at(state.step, recipe)

    images, targets = batch_of(pool, rng, recipe)
    loss = loss_of_step(state.model.train(), images, targets, recipe, rng, half)

    state.optimiser.zero_grad()
    loss.backward()
    state.optimiser.step()

    update_average(state.average, state.model, state.step, recipe.ema_decay)
    return loss.detach()


def learning_rate_at(step: int, recipe: Recipe) -> float:
    """Return the learning rate: a short linear rise, and half a cosine down to 1/100."""
    warm_up_steps = max(1, min(MAX_WARM_UP_STEPS, recipe.steps // 10))
    rise = min(1.0, 0.05 + 0.95 * step / warm_up_steps)

    half_cosine = (1 + math.cos(math.pi * step / recipe.steps)) / 2
    fall = 0.01 + 0.99 * half_cosine
    return recipe.learning_rate * rise * fall


def update_average(average: UNet, model: UNet, step: int, ema_decay: float) -> None:
    """Move the average towards the model, in place; faster at first, to forget the start."""
    decay = min(ema_decay, (1 + step) / (10 + step))
    move = get_ema_multi_avg_fn(decay)
    move(floating_tensors(average), floating_tensors(model), step)


def floating_tensors(model: UNet) -> list[torch.Tensor]:
    """Return views of weights and statistics, without the counters of batch normalisation."""
    tensors = model.state_dict().values()
    return [tensor for tensor in tensors if tensor.is_floating_point()]


def is_check(step: int, checks: int, steps: int) -> bool:
    """Return whether one of the evenly spaced checks follows this step, counted from 1."""
    return step * checks // steps > (step - 1) * checks // steps


def check(
    state: TrainingState,
    losses: Sequence[torch.Tensor],
    validation: Sequence[Example],
    folder: Path,
) -> CurvePoint:
    """Validate the average and write weights, checkpoint and curve into the folder."""
    loss = float(torch.stack(list(losses)).mean())
    score = -loss
    if validation:
        score = validate(state.average, validation)

    # Without validation examples the last weights are saved as the best.
    is_best = all(score > earlier.validation_dice for earlier in state.curve)
    if is_best or not validation:
        save_model(state.average, folder / "best.safetensors")
    save_model(state.average, folder / "last.safetensors")

    point = CurvePoint(step=state.step, loss=loss, validation_dice=score)
    state.curve.append(point)
    state.save(folder / "checkpoint.pt")
    with written_whole(folder / "curve.csv") as part:
        state.curve_table().to_csv(part, index=False)
    return point


# No benchmark: images have many sizes here, and a search for each size's fastest convolution takes
# longer than it saves.
@torch.inference_mode()
@torch.backends.cudnn.flags(benchmark=False)
def validate(model: UNet, examples: Sequence[Example]) -> float:
    """Return the mean over the foreground classes of the Dice over all pixels of the examples."""
    model.eval()
    device = next(model.parameters()).device
    count = count_overlapping if model.overlapping else count_classes

    counts = []
    stride = max(1, len(examples) // MAX_VALIDATION_EXAMPLES)
    for example in examples[::stride]:
        pixels = torch.from_numpy(example.pixels).float()[None].to(device)
        logits = model.logits(pixels)[0].cpu()
        counts.append(count(logits, example.target))

    overlap, total = np.sum(counts, axis=0)
    dice = 2 * overlap / np.maximum(total, 1)
    return float(dice.mean())


def count_classes(logits: torch.Tensor, target: np.ndarray) -> np.ndarray:
    """Return, for logits (K, h, w) and class ids (h, w), true positives and both areas.

    The result is (2, number of foreground classes); Dice = 2 * first row / second row.
    """
    two_or_more = as_two_classes(logits[None])[0]
    answer = two_or_more.argmax(0).numpy()

    # Pixels of each true class (rows) that were given to each class (columns).
    classes = len(two_or_more)
    confusion = np.zeros((classes, classes))
    is_known = target != IGNORED
    np.add.at(confusion, (target[is_known], answer[is_known]), 1)

    overlap = confusion.diagonal()
    total = confusion.sum(axis=0) + confusion.sum(axis=1)
    return np.stack((overlap, total))[:, 1:]
