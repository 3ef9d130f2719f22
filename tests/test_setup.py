"""The notebook's setup cell in the situations a person meets, by the stand-in for Colab; each is run twice.

Needs COLAB_PYTHON, as test_colab.py does. Whatever is installed goes into a folder of the test's own.
"""

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest
from helpers.servers import colab_sessions

ROOT = Path(__file__).parents[1]
NAME = "Medical_Image_Segmentation.ipynb"
PYTHON = os.environ.get("COLAB_PYTHON")
pytestmark = [
    pytest.mark.colab,
    pytest.mark.skipif(not PYTHON, reason="COLAB_PYTHON names no Python with Colab's packages"),
]
CELLS = ["".join(cell["source"]) for cell in json.loads((ROOT / NAME).read_text())["cells"]]
SETUP = next(source for source in CELLS if source.startswith("#@title Setup"))
AFTER = "import unet_helpers as uh; print('found', len(uh.MODELS), uh.__file__)"


@pytest.fixture(scope="module", autouse=True)
def not_installed_yet():
    """The whole notebook, run by test_colab.py in the same environment, may have installed the package there."""
    subprocess.run([PYTHON, "-m", "pip", "uninstall", "-q", "-y", "unet-helpers"], check=True)


@pytest.fixture
def opened_from():
    with colab_sessions() as answers:
        yield answers


def archive(path: Path) -> Path:
    command = [
        "git",
        "-C",
        str(ROOT),
        "archive",
        "--prefix=somewhere-main/",
        "-o",
        str(path),
        "HEAD",
    ]
    subprocess.run(command, check=True)
    return path


def run(
    tmp_path: Path, field: str = "", upload: Path | None = None, colab: bool = True, path: str = ""
) -> list[dict]:
    """All outputs of the setup cell run twice in one kernel, and of an import after it."""
    content = tmp_path / "content"
    content.mkdir(exist_ok=True)
    source = SETUP.replace('REPOSITORY = ""', f"REPOSITORY = {field!r}")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [
        {
            "cell_type": "code",
            "id": f"c{i}",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": s,
        }
        for i, s in enumerate((source, source, AFTER))
    ]
    (content / "a.ipynb").write_text(
        json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})
    )
    startup = tmp_path / "ipython/profile_default/startup"
    startup.mkdir(parents=True, exist_ok=True)
    (startup / "colab.py").write_text("import google.colab\n" if colab else "")
    prefix = tmp_path / "prefix"
    version = subprocess.check_output(
        [PYTHON, "-c", "import sys; print('python%d.%d' % sys.version_info[:2])"], text=True
    )
    places = [
        str(ROOT / "tests/colab"),
        str(prefix / "lib" / version.strip() / "site-packages"),
        path,
    ]
    changed = {
        "PYTHONPATH": os.pathsep.join(filter(None, places)),
        "PIP_PREFIX": str(prefix),
        "PIP_NO_WARN_SCRIPT_LOCATION": "1",
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "COLAB_JUPYTER_IP": "127.0.0.1",
        "COLAB_UPLOAD": str(upload or ROOT / "sample_images/he.jpg"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{ROOT}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/someone/somewhere",
    }
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | changed
    command = [
        PYTHON,
        "-m",
        "jupyter",
        "execute",
        "--inplace",
        "--allow-errors",
        "--timeout=300",
        "a.ipynb",
    ]
    subprocess.run(
        command, cwd=content, env=environment, capture_output=True, text=True, timeout=600
    )
    return [cell["outputs"] for cell in json.loads((content / "a.ipynb").read_text())["cells"]]


def assert_found(outputs: list, words: str = "found") -> None:
    assert [o for part in outputs for o in part if o["output_type"] == "error"] == []
    assert words in "".join("".join(o.get("text", "")) for o in outputs[-1])


def assert_told(outputs: list) -> None:
    """Two readable lines each time, and no traceback."""
    for part in outputs[:2]:
        (error,) = (o for o in part if o["output_type"] == "error")
        assert len(error["traceback"]) == 2
        assert "REPOSITORY" in error["traceback"][1]


def test_beside_the_notebook(tmp_path):
    (tmp_path / "content").mkdir()
    for part in ("unet_helpers", "sample_images"):
        shutil.copytree(ROOT / part, tmp_path / "content" / part)
    assert_found(run(tmp_path, colab=False), "content")


def test_installed(tmp_path):
    assert_found(run(tmp_path, colab=False, path=str(ROOT)))


def test_opened_from_its_github_page(tmp_path, opened_from):
    revision = subprocess.check_output(["git", "-C", ROOT, "rev-parse", "HEAD"], text=True).strip()
    page = f"https://github.com/someone/somewhere/blob/{revision}/{NAME}"
    opened_from.append({"path": "fileId=" + quote(page, safe=""), "name": NAME})
    assert_found(run(tmp_path), "prefix")


def test_the_field_is_right(tmp_path, opened_from):
    assert_found(run(tmp_path, field="https://github.com/someone/somewhere"), "prefix")


@pytest.mark.parametrize("field", ["https://127.0.0.1:1/no/where", "nonsense"])
def test_the_field_is_wrong(tmp_path, opened_from, field):
    assert_told(run(tmp_path, field=field))


def test_the_right_zip_among_wrong_ones(tmp_path, opened_from):
    content = tmp_path / "content"
    content.mkdir()
    archive(content / "m.zip")
    (content / "a.zip").write_text("no zip at all")
    with zipfile.ZipFile(content / "z.zip", "w") as other:  # the last by name and by date
        other.writestr("photos/1.jpg", b"0")
    assert_found(run(tmp_path), "prefix")


def test_nothing_at_all_asks_for_the_zip(tmp_path, opened_from):
    assert_found(run(tmp_path, upload=archive(tmp_path / "repository.zip")), "prefix")


@pytest.mark.parametrize("colab", [True, False])
def test_nothing_at_all_and_nothing_given(tmp_path, opened_from, colab):
    assert_told(run(tmp_path, colab=colab))
