"""What folding, channels_last and inference_mode gain: ``python tests/benchmarks/lean.py [FEATURES]``."""

import copy
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from unet_helpers.networks.unet import UNet, fold_batch_norm

features = int(sys.argv[1]) if len(sys.argv) > 1 else 16
plain = UNet(3, 1, features).eval()
last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
lean = fold_batch_norm(copy.deepcopy(plain)).to(memory_format=torch.channels_last).eval()
image = torch.rand(1, 3, 512, 512)
ways = {
    "as trained": (plain, image, torch.no_grad),
    "channels_last": (last, image.contiguous(memory_format=torch.channels_last), torch.no_grad),
    "and folded, inference_mode": (
        lean,
        image.contiguous(memory_format=torch.channels_last),
        torch.inference_mode,
    ),
}
times = {name: [] for name in ways}
for _ in range(17):
    for name, (network, x, mode) in ways.items():
        started = time.perf_counter()
        with mode():
            network(x)
        times[name].append(1000 * (time.perf_counter() - started))
first = statistics.median(times["as trained"][2:])
for name, spent in times.items():
    print(
        f"{name:28} {statistics.median(spent[2:]):7.1f} ms  {first / statistics.median(spent[2:]):.2f} times as fast"
    )
