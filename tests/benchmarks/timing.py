"""What benchmarks share: times in turns, fresh processes, an image to compute, tables."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[2]

# How often each call is timed, after one that is not counted.
REPEATS = 7

# The peak is read from /proc, since ru_maxrss of the resource module has the parent's, too.
MEASURED = """
import json, time
started = time.perf_counter()
{code}
spent = time.perf_counter() - started
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([spent, int(peak.split()[1]) / 1024]))
"""

# px: side of the squares of one grey in the texture.
SQUARE = 8


def medians(calls: Mapping[str, Callable[[], object]], repeats: int = REPEATS) -> dict[str, float]:
    """Return the median seconds of each call, taken in turns after one that warms up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    with torch.inference_mode():
        for _ in range(repeats + 1):
            for name, call in calls.items():
                started = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(spent[1:]) for name, spent in times.items()}


@dataclass(frozen=True)
class Cost:
    """What it took to run some code."""

    seconds: float
    memory: float  # MiB at the peak, of the whole process


def in_fresh_process(code: str) -> Cost:
    """Run code in a process of its own, in the repository."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED.format(code=code)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    seconds, memory = json.loads(done.stdout.splitlines()[-1])
    return Cost(seconds, memory)


def texture(height: int, width: int) -> np.ndarray:
    """Make an 8-bit image with something at every scale, the same each time."""
    rng = np.random.default_rng(0)
    greys = rng.integers(60, 200, (height // SQUARE, width // SQUARE))
    return np.kron(greys, np.ones((SQUARE, SQUARE))).astype(np.uint8)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"
