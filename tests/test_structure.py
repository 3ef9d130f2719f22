"""The house: arrows between modules go one way, without circles, also those of imports inside functions."""

import ast
from pathlib import Path

import grimp
import networkx as nx
import pytest
from helpers.places import ROOT

WINGS = [
    {"figures", "training"},
    {"inference"},
    {"results"},
    {"preprocessing"},
    {"networks", "images"},
]  # from the top
GROUND = {"errors", "files", "palette", "version"}  # what any wing may use, and which uses no wing
PACKAGE = ROOT / "unet_helpers"


def faults(package: str, wings: list[set[str]] = WINGS) -> list[str]:
    """Circles between modules, and imports of a wing on the same floor or above."""
    graph = grimp.build_graph(package, cache_dir=None)
    arrows = nx.DiGraph(
        (a, b) for a in graph.modules for b in graph.find_modules_directly_imported_by(a)
    )
    found = [f"circle: {' -> '.join(circle)}" for circle in nx.simple_cycles(arrows)]
    floor = {wing: i for i, wings_here in enumerate(wings) for wing in wings_here}
    for a, b in arrows.edges:
        if a == package or b == package:
            continue
        here, there = a.split(".")[1], b.split(".")[1]
        if here in floor and there in floor and here != there and floor[there] <= floor[here]:
            found.append(f"up: {a} -> {b}")
        if here in GROUND and there not in GROUND:
            found.append(f"up: {a} -> {b}")
    return found


def lines_of_code(path: Path) -> int:
    """Lines that hold code: no comments, blank lines and docstrings."""
    source = path.read_text("utf-8")
    texts = [
        n
        for n in ast.walk(ast.parse(source))
        if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)
    ]
    docstrings = {line for node in texts for line in range(node.lineno, node.end_lineno + 1)}
    lines = enumerate(source.splitlines(), 1)
    return sum(
        bool(text.strip()) and not text.strip().startswith("#") and n not in docstrings
        for n, text in lines
    )


def test_no_circle_and_no_arrow_up():
    assert faults("unet_helpers") == []


def test_the_check_of_imports_can_fail(tmp_path, monkeypatch):
    (tmp_path / "fake/images").mkdir(parents=True)
    (tmp_path / "fake/results").mkdir()
    for name in ("", "images/", "results/"):
        (tmp_path / f"fake/{name}__init__.py").touch()
    (tmp_path / "fake/images/a.py").write_text(
        "def f():\n    from ..results.b import g\n    return g\n"
    )
    (tmp_path / "fake/results/b.py").write_text(
        "from ..images.a import f\n\ndef g():\n    return f\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = faults("fake")
    assert any(line.startswith("circle") for line in found)
    assert "up: fake.images.a -> fake.results.b" in found


def test_seven_wings_each_with_an_entry():
    wings = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert wings == set.union(*WINGS)
    assert len(wings) <= 7
    for wing in wings:
        body = ast.parse((PACKAGE / wing / "__init__.py").read_text("utf-8")).body
        assert len(body) == 1
        assert "Entr" in ast.literal_eval(body[0].value)


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_a_file_is_read_in_one_sitting(path):
    assert lines_of_code(path) <= 200


def test_the_package_stays_small():
    assert sum(len(path.read_text("utf-8").splitlines()) for path in PACKAGE.rglob("*.py")) < 6500
