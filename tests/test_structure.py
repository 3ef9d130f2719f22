"""The house: imports go one way between wings, without circles, also those inside functions."""

import ast
import re

import grimp
import networkx as nx
import pytest
from helpers.places import ROOT

PACKAGE = ROOT / "unet_helpers"

# From the top: a wing may use those below it. Wings on one floor do not know each other.
WINGS = [
    {"shell"},
    {"annotate"},
    {"web"},
    {"figures", "training"},
    {"inference"},
    {"results"},
    {"checks"},
    {"preprocessing"},
    {"networks", "images"},
]

# What any wing may use, and what uses no wing.
GROUND = {"errors", "files", "palette", "spelling", "version", "download", "timing"}

# Lines of a file that is read in one sitting.
LINES_OF_A_FILE = 400


def wing_of(module: str) -> str:
    """Name the part that a module belongs to: 'images' of 'unet_helpers.images.tiff'."""
    return module.split(".")[1]


def wrong_imports(package: str, wings: list[set[str]] = WINGS) -> list[str]:
    """List circles between modules, and imports of a wing on the same floor or above.

    Imports for type checkers alone do not count: they are never run.
    """
    graph = grimp.build_graph(package, cache_dir=None, exclude_type_checking_imports=True)
    imports = nx.DiGraph()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            imports.add_edge(importer, imported)
    floor_of = {wing: floor for floor, names in enumerate(wings) for wing in names}

    faults = [f"circle: {' -> '.join(circle)}" for circle in nx.simple_cycles(imports)]
    for importer, imported in imports.edges:
        if package in (importer, imported):
            continue
        above, below = wing_of(importer), wing_of(imported)
        between_wings = above in floor_of and below in floor_of and above != below
        if between_wings and floor_of[below] <= floor_of[above]:
            faults.append(f"up: {importer} -> {imported}")
        if above in GROUND and below not in GROUND:
            faults.append(f"up: {importer} -> {imported}")
    return faults


def test_no_circle_and_no_import_upwards():
    assert wrong_imports("unet_helpers") == []


def test_the_check_of_imports_can_fail(tmp_path, monkeypatch):
    (tmp_path / "fake/images").mkdir(parents=True)
    (tmp_path / "fake/results").mkdir()
    for name in ("", "images/", "results/"):
        (tmp_path / f"fake/{name}__init__.py").touch()
    upwards = "def f():\n    from ..results.b import g\n    return g\n"
    (tmp_path / "fake/images/a.py").write_text(upwards)
    (tmp_path / "fake/results/b.py").write_text("from ..images.a import f\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    faults = wrong_imports("fake")
    assert any(fault.startswith("circle") for fault in faults)
    assert "up: fake.images.a -> fake.results.b" in faults


def test_every_wing_names_its_entry():
    wings = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert wings == set.union(*WINGS)
    for wing in wings:
        body = ast.parse((PACKAGE / wing / "__init__.py").read_text("utf-8")).body
        assert len(body) == 1
        assert re.search("Entr(y|ies): ", ast.literal_eval(body[0].value))


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_a_file_is_read_in_one_sitting(path):
    assert len(path.read_text("utf-8").splitlines()) <= LINES_OF_A_FILE


@pytest.mark.parametrize("folder", ["unet_helpers", "tests", "docs"])
def test_nothing_keeps_the_formatter_out(folder):
    marks = ("# fmt" + ":", "# yapf" + ":")
    for path in (ROOT / folder).rglob("*.py"):
        assert not any(mark in path.read_text("utf-8") for mark in marks), path
