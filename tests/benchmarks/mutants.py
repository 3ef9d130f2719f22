"""Which small faults do the tests of a wing notice?

``python tests/benchmarks/mutants.py results --sample 100``

Cosmic Ray changes one operator, number or condition of the wing's code at a time; the tests of the
wing's own folder that run the changed line are then expected to fail, without the data sets of
../shared. It works on a copy of the repository, in forked processes that have the libraries loaded
already. Which tests run which line is measured first, by coverage. A sample is drawn at random
(``--seed``), at most one change at each place. Survivors are printed, to be looked at: tests are
missing there, or the changed code means the same.
"""

import argparse
import ast
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import local
from typing import Any

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from coverage import Coverage, CoverageData

ROOT = Path(__file__).parents[2]

# A test run has failed after so many seconds more than this multiple of what its tests took before:
# a mutant that never ends is noticed, too.
TIME_LIMIT = 300
TIMES_AS_LONG = 5

# Exit statuses of pytest (pytest.ExitCode): all passed, or failed, in a test or while importing.
PASSED = 0
NOTICED = (1, 2)

# Operators that leave the meaning alone in most of their places, or only break the syntax.
LEFT_OUT = ("ExceptionReplacer", "VariableReplacer", "VariableInserter", "RemoveDecorator")

# Loaded once, before processes are forked: what tests and package load, but not the package itself.
LIBRARIES = (
    "torch",
    "torchvision",
    "safetensors.torch",
    "scipy.ndimage",
    "skimage.color",
    "skimage.exposure",
    "skimage.measure",
    "skimage.segmentation",
    "skimage.transform",
    "cv2",
    "pandas",
    "dask.array",
    "zarr",
    "tifffile",
    "imagecodecs",
    "nibabel",
    "pydicom",
    "SimpleITK",
    "PIL.Image",
    "matplotlib.pyplot",
    "hypothesis",
    "xdist",
)


@dataclass(frozen=True)
class Mutant:
    """One change: the ``occurrence``-th place that an operator finds in a file."""

    path: Path  # relative to the repository
    operator: str
    occurrence: int
    line: int  # from 1 on
    column: int


def mutants_of(path: Path) -> Iterator[Mutant]:
    """List every change that Cosmic Ray knows, but for those in annotations and decorators."""
    source = (ROOT / path).read_text("utf-8")
    without_meaning = spans_without_meaning(source)
    tree = get_ast(source)
    for name in plugins.operator_names():
        if name.endswith(LEFT_OUT):
            continue
        operator = plugins.get_operator(name)()
        occurrence = 0
        for node in ast_nodes(tree):
            for (line, column), _ in operator.mutation_positions(node):
                if not any(start <= (line, column) < end for start, end in without_meaning):
                    yield Mutant(path, name, occurrence, line, column)
                occurrence += 1


def spans_without_meaning(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Find the spans of annotations and decorators: changed there, the code does the same."""
    spans = []
    for node in ast.walk(ast.parse(source)):
        parts: list[ast.expr | None] = []
        if isinstance(node, ast.arg | ast.AnnAssign):
            parts.append(node.annotation)
        if isinstance(node, ast.FunctionDef):
            parts += [node.returns, *node.decorator_list]
        if isinstance(node, ast.ClassDef):
            parts += node.decorator_list
        for part in parts:
            if part is not None:
                start = (part.lineno, part.col_offset)
                spans.append((start, (part.end_lineno or 0, part.end_col_offset or 0)))
    return spans


def sample_of(wing: str, count: int, seed: int) -> list[Mutant]:
    """Draw mutants of a wing, at most one at each place."""
    rng = random.Random(seed)
    by_place: dict[tuple[Path, int, int], list[Mutant]] = defaultdict(list)
    for file in sorted((ROOT / "unet_helpers" / wing).glob("*.py")):
        for mutant in mutants_of(file.relative_to(ROOT)):
            by_place[mutant.path, mutant.line, mutant.column].append(mutant)
    print(f"{wing}: {len(by_place)} places, {sum(map(len, by_place.values()))} mutants", flush=True)
    drawn = [rng.choice(mutants) for mutants in by_place.values()]
    rng.shuffle(drawn)
    return drawn[:count]


def copy_of_the_repository(folder: Path) -> Path:
    """Copy the files of the repository to a folder that has no ../shared beside it."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(command, text=True).splitlines():
        if (ROOT / name).is_file():
            target = folder / "repository" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    return folder / "repository"


@dataclass(frozen=True)
class CoveredLines:
    """What the tests of a wing run, as they are."""

    # For each file and line, the tests that run it.
    tests: dict[str, dict[int, list[str]]]

    # Seconds that each test takes.
    seconds: dict[str, float]

    def of(self, mutant: Mutant, source: str) -> list[str]:
        """List the tests that run the changed line, those of the fastest file first.

        These are all tests if it runs at import. Tests of a file stay together, since they may
        share what they set up.
        """
        by_line = self.tests.get(str(mutant.path), {})
        statement = statements_of(source).get(mutant.line, mutant.line)
        names = by_line.get(mutant.line) or by_line.get(statement) or list(self.seconds)

        seconds_of_file: dict[str, float] = defaultdict(float)
        for name in names:
            seconds_of_file[file_of(name)] += self.seconds[name]
        return sorted(names, key=lambda name: (seconds_of_file[file_of(name)], file_of(name)))


def file_of(test: str) -> str:
    """Return the file of a test, by the test's name."""
    return test.split("::")[0]


class Recorder:
    """A plugin of pytest that measures which lines each test runs, and how long it takes."""

    def __init__(self, wing: str) -> None:
        self.coverage = Coverage(data_file=".coverage", source=[f"unet_helpers/{wing}"])
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_sessionstart(self) -> None:
        self.coverage.erase()
        self.coverage.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        self.coverage.save()
        Path("seconds.json").write_text(json.dumps(self.seconds))


class Chosen:
    """A plugin of pytest that runs some tests only, in their order."""

    def __init__(self, names: list[str]) -> None:
        self.places = {name: place for place, name in enumerate(names)}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        kept = [item for item in items if item.nodeid in self.places]
        items[:] = sorted(kept, key=lambda item: self.places[item.nodeid])


def run_pytest(folder: Path, paths: list[str], plugin: object, limit: float) -> int | None:
    """Run pytest in a forked process; its exit status, or None where it took too long."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        status = 70
        with contextlib.suppress(BaseException):
            import pytest

            # The plugin for notebooks is left out, which takes seconds to load.
            options = ["-x", "-q", "-n", "0", "-p", "no:nbval", "-p", "no:cacheprovider"]
            status = int(pytest.main([*options, *paths], plugins=[plugin]))
        os._exit(status)

    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        finished, status = os.waitpid(child, os.WNOHANG)
        if finished:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def covered_lines(folder: Path, wing: str) -> CoveredLines:
    """Run the tests of the wing as they are, and record what they run."""
    status = run_pytest(folder, [f"tests/{wing}"], Recorder(wing), limit=float("inf"))
    if status != PASSED:
        sys.exit(f"The tests of {wing} fail as they are (exit status {status}).")
    data = CoverageData(str(folder / ".coverage"))
    data.read()
    tests: dict[str, dict[int, list[str]]] = {}
    for file in data.measured_files():
        contexts = data.contexts_by_lineno(file)
        tests[str(Path(file).relative_to(folder))] = {
            line: [name for name in names if name] for line, names in contexts.items()
        }
    return CoveredLines(tests, json.loads((folder / "seconds.json").read_text()))


def is_noticed(folder: Path, mutant: Mutant, names: list[str], seconds: float) -> bool:
    """Whether one of the tests, which take so many seconds, fails with the mutant's code."""
    path = folder / mutant.path
    source = path.read_text("utf-8")
    operator = plugins.get_operator(mutant.operator)()
    files = sorted({file_of(name) for name in names})
    try:
        path.write_text(mutate_code(source, operator, mutant.occurrence) or source, "utf-8")
        limit = TIME_LIMIT + TIMES_AS_LONG * seconds
        status = run_pytest(folder, files, Chosen(names), limit)
    finally:
        path.write_text(source, "utf-8")

    if status is None:
        print(f"{mutant.path}:{mutant.line} stopped after {limit:.0f} s", flush=True)
    elif status not in (PASSED, *NOTICED):
        print(f"{mutant.path}:{mutant.line} ended with exit status {status}", flush=True)
    return status != PASSED


def statements_of(source: str) -> dict[int, int]:
    """Map each line to the first line of its innermost statement, which coverage counts."""
    first: dict[int, int] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            last = node.end_lineno or node.lineno
            if hasattr(node, "body"):
                last = node.body[0].lineno - 1
            for line in range(node.lineno, last + 1):
                first[line] = max(node.lineno, first.get(line, 0))
    return first


def main() -> None:
    """Draw a sample, run the tests of each mutant, print survivors and the share noticed."""
    parser = argparse.ArgumentParser(description=__doc__.split("``")[0])
    parser.add_argument(
        "wing", choices=("checks", "images", "inference", "preprocessing", "results")
    )
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):  # some are optional
            __import__(name)

    mutants = sample_of(options.wing, options.sample, options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folders = [
            copy_of_the_repository(Path(temporary) / str(i)) for i in range(options.processes)
        ]
        covered = covered_lines(folders[0], options.wing)
        total = sum(covered.seconds.values())
        print(f"{options.wing}: {len(covered.seconds)} tests, {total:.0f} s", flush=True)
        own = local()

        def take_a_folder() -> None:
            own.folder = folders.pop()

        def noticed(mutant: Mutant) -> bool:
            source = (ROOT / mutant.path).read_text("utf-8")
            names = covered.of(mutant, source)
            seconds = sum(covered.seconds[name] for name in names)
            outcome = is_noticed(own.folder, mutant, names, seconds)
            if not outcome:
                print_survivor(mutant, source)
            return outcome

        with ThreadPoolExecutor(options.processes, initializer=take_a_folder) as pool:
            outcomes = list(pool.map(noticed, mutants))
    share = sum(outcomes) / len(outcomes)
    print(f"{options.wing}: {sum(outcomes)} of {len(outcomes)} noticed ({share:.0%})")


def print_survivor(mutant: Mutant, source: str) -> None:
    """Print the place, and the line before and after the change."""
    changed = mutate_code(source, plugins.get_operator(mutant.operator)(), mutant.occurrence) or ""
    line = mutant.line - 1
    print(f"{mutant.path}:{mutant.line} survives {mutant.operator.removeprefix('core/')}")
    print(
        f"    {source.splitlines()[line].strip()}\n    {changed.splitlines()[line].strip()}",
        flush=True,
    )


if __name__ == "__main__":
    main()
