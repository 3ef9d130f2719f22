"""The notebook's setup cell in the situations that a person meets, with Colab's versions."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.colab import (
    GITHUB,
    NOTEBOOK_NAME,
    PYTHON,
    Runtime,
    errors_of,
    make_notebook,
    needs_colab,
    text_of,
)
from helpers.places import ROOT

pytestmark = needs_colab
CELLS = json.loads((ROOT / NOTEBOOK_NAME).read_text("utf-8"))["cells"]
SOURCES = ["".join(cell["source"]) for cell in CELLS]
SETUP = next(source for source in SOURCES if source.startswith("#@title Setup"))
WHERE = "print('found', len(uh.MODELS), 'networks in', uh.__file__)"

# What Colab has is kept: these are larger than everything else, or have to fit to it.
KEPT = ("torch", "torchvision", "numpy", "scipy", "pandas", "matplotlib")


@pytest.fixture(scope="module", autouse=True)
def not_installed_yet():
    command = [PYTHON, "-c", "import unet_helpers"]
    done = subprocess.run(command, cwd="/", capture_output=True)
    assert done.returncode == 1, "COLAB_PYTHON has the package already"


def assert_found_in(folder: Path, cells: list[dict]) -> None:
    assert errors_of(cells) == []
    assert "networks in" in text_of(cells[-1])
    assert str(folder) in text_of(cells[-1])


def assert_nothing_replaced(runtime: Runtime) -> None:
    installed = {path.name for path in runtime.installed.iterdir()}
    assert "unet_helpers" in installed
    assert installed.isdisjoint(KEPT)


def zip_of_the_repository(path: Path) -> None:
    """Write what GitHub gives under 'Download ZIP'."""
    name = f"{GITHUB.rsplit('/', 1)[1]}-main"
    command = ["git", "-C", ROOT, "archive", f"--prefix={name}/", "-o", path, "HEAD"]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("in_colab", [True, False])
def test_it_takes_the_package_beside_the_notebook(tmp_path, in_colab):
    runtime = Runtime(tmp_path, github=tmp_path / "nowhere", in_colab=in_colab)
    for folder in ("unet_helpers", "sample_images"):
        shutil.copytree(ROOT / folder, runtime.content / folder)
    cells = runtime.run(make_notebook([SETUP, WHERE]))
    assert_found_in(runtime.content, cells)


def test_it_takes_an_installed_package(tmp_path):
    runtime = Runtime(tmp_path, github=tmp_path / "nowhere", packages=(ROOT,))
    cells = runtime.run(make_notebook([SETUP, WHERE]))
    assert_found_in(ROOT, cells)


def test_it_installs_from_github_and_replaces_nothing(tmp_path):
    runtime = Runtime(tmp_path)
    cells = runtime.run(make_notebook([SETUP, WHERE]))
    assert_found_in(runtime.installed, cells)
    assert_nothing_replaced(runtime)


def test_it_may_be_run_again(tmp_path):
    runtime = Runtime(tmp_path)
    cells = runtime.run(make_notebook([SETUP, SETUP, WHERE]))
    assert_found_in(runtime.installed, cells)
    assert text_of(cells[1]) == ""


def test_where_github_does_not_answer_it_says_what_to_do(tmp_path):
    runtime = Runtime(tmp_path, github=tmp_path / "nowhere")
    (setup,) = runtime.run(make_notebook([SETUP]))
    (error,) = errors_of([setup])
    assert error["ename"] == "ModuleNotFoundError"
    assert "The text above says how to install it from a zip file" in "".join(error["traceback"])


def test_a_zip_file_works_as_the_text_above_it_says(tmp_path):
    (text,) = (source for source in SOURCES if source.startswith("## 1. Setup"))
    assert "`%pip install FILE.zip`" in text

    runtime = Runtime(tmp_path, github=tmp_path / "nowhere")
    runtime.prepare()
    zip_of_the_repository(runtime.content / "repository-main.zip")
    cells = runtime.run(make_notebook(["%pip install repository-main.zip", SETUP, WHERE]))
    assert_found_in(runtime.installed, cells)
    assert_nothing_replaced(runtime)
