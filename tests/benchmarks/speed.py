"""How fast it is.

``python tests/benchmarks/speed.py [--write docs/SPEED.md] [--sizes 512 2048 8192]``

All is measured twice, one run after the other (images of more than 4096 px a side once): where the
figures differ, both stand. Each ratio is of medians measured in turns within one run, warmed up;
memory and cold starts are those of fresh processes. All is computed in single precision but for
rows that say otherwise. Needs an idle machine. OpenVINO, ONNX Runtime and MONAI are compared with
where they are installed.
"""

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from speed_sections import (
    PRECISION,
    against_monai,
    growth,
    one_pass,
    samples,
    starts,
    whole_path,
    workers,
)
from timing import ROOT

# px a side: larger images are measured once.
LARGEST_MEASURED_TWICE = 4096


def sections(sizes: Sequence[int]) -> dict[str, Callable[[], str]]:
    """Return what measures each section of the page, by its title."""
    return {
        "An image of 512 × 512": whole_path,
        "One pass of the network": partial(one_pass, 512),
        "Small images": partial(one_pass, 256),
        "Tiles": against_monai,
        "Larger images": partial(growth, sizes),
        "Starting": starts,
        "The samples": samples,
        "Many images": workers,
    }


def measure(sizes: Sequence[int], number: int) -> dict[str, str]:
    """Measure all sections, in the run of that number."""
    texts = {}
    for title, section in sections(sizes).items():
        print(title, number, "...", file=sys.stderr, flush=True)
        texts[title] = section()
    return texts


def both(first: str, second: str) -> str:
    """Join two runs: where a cell, or a figure in a sentence, differs, both stand."""
    lines = []
    for line, again in zip_longest(first.splitlines(), second.splitlines(), fillvalue=""):
        # A row that was measured once, or that has no counterpart, stands as it is.
        again = again or line
        separator = " | " if line.startswith("|") else " "
        cells = zip_longest(line.split(separator), again.split(separator), fillvalue="")
        joined = [a if a == b else f"{a.removesuffix(' |')}; {b}" for a, b in cells]
        lines.append(separator.join(joined))
    return "\n".join(lines)


def processor() -> str:
    """Name the processor."""
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor() or platform.machine()
    lines = information.read_text().splitlines()
    return next(line.split(": ")[1] for line in lines if line.startswith("model name"))


def introduction(sizes: Sequence[int]) -> str:
    """Say how, when and where the page was made."""
    packages = ("torch", "openvino", "onnxruntime", "monai", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages if find_spec(name))
    describe = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True).stdout.strip()

    sizes_given = " ".join(map(str, sizes))
    once = ""
    if max(sizes) > LARGEST_MEASURED_TWICE:
        once = f"; images of more than {LARGEST_MEASURED_TWICE} px a side once"
    return (
        f"Made by `python tests/benchmarks/speed.py --sizes {sizes_given} --write docs/SPEED.md` "
        f"on {date.today()}, commit {commit}: "
        f"{processor()}, {torch.get_num_threads()} threads; {versions}. "
        "Single precision (float32) where a row says nothing else, OpenVINO where none is named. "
        f"Figures of two runs, one after the other{once}."
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure all twice, and write or print the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path, help="the page; without it, it is printed")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 2048, 8192])
    chosen = parser.parse_args(arguments)

    os.environ[PRECISION] = "float32"
    os.environ.setdefault("PYTHONPATH", str(ROOT))
    first_lines = introduction(chosen.sizes)

    first = measure(chosen.sizes, 1)
    second = measure([side for side in chosen.sizes if side <= LARGEST_MEASURED_TWICE], 2)

    page = ["# Speed", "", first_lines]
    for title in first:
        page += ["", f"## {title}", "", both(first[title], second[title])]
    text = "\n".join(page) + "\n"
    print(text)
    if chosen.write:
        chosen.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
