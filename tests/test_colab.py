"""The notebook as Colab runs it: alone in a folder, with Colab's versions and a stand-in for google.colab.

The setup cell's other situations are in test_setup.py.

Needs COLAB_PYTHON, a Python with the packages of tests/colab/requirements.txt; .ci/run makes one.
"""

import json
import os
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


@pytest.fixture
def address_book():
    with colab_sessions() as answers:
        yield answers


def run(folder: Path, tmp_path: Path, **changes: str) -> tuple[dict, str]:
    """Execute the notebook alone in ``folder``; ``changes`` replace lines of its form fields."""
    notebook = json.loads((ROOT / NAME).read_text())
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        for before, after in changes.items():
            source = source.replace(before, after)
        cell["source"] = source
        if cell["cell_type"] == "code":  # what is found afterwards was made here
            cell |= {"outputs": [], "execution_count": None}
    folder.mkdir(exist_ok=True)
    (folder / NAME).write_text(json.dumps(notebook))
    startup = tmp_path / "ipython/profile_default/startup"
    startup.mkdir(parents=True, exist_ok=True)
    (startup / "colab.py").write_text("import google.colab\n")
    (tmp_path / "downloads").mkdir(exist_ok=True)
    clone = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{ROOT}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/someone/somewhere",
    }
    environment = (
        {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        | clone
        | {
            "PYTHONPATH": str(ROOT / "tests/colab"),
            "IPYTHONDIR": str(tmp_path / "ipython"),
            "COLAB_JUPYTER_IP": "127.0.0.1",
            "COLAB_UPLOAD": str(ROOT / "sample_images/ihc.png"),
            "COLAB_DOWNLOADS": str(tmp_path / "downloads"),
            "UNET_HELPERS_CACHE": str(tmp_path / "cache"),
        }
    )
    command = [PYTHON, "-m", "jupyter", "execute", "--inplace", "--timeout=600", NAME]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return json.loads((folder / NAME).read_text()), done.stderr


def test_opened_from_github_with_upload_and_download(tmp_path, address_book):
    """The package comes from the repository and revision of the session's file id."""
    revision = subprocess.check_output(["git", "-C", ROOT, "rev-parse", "HEAD"], text=True).strip()
    opened = f"https://github.com/someone/somewhere/blob/{revision}/{NAME}"
    address_book.append({"path": "fileId=" + quote(opened, safe=""), "name": NAME})
    upload = {
        "upload = False": "upload = True",
        'network_name = "nuclei_he"': 'network_name = "nuclei"',
    }
    notebook, errors = run(tmp_path / "content", tmp_path, **upload)
    assert not [
        c for c in notebook["cells"] for o in c.get("outputs", []) if o["output_type"] == "error"
    ], errors[-3000:]
    assert all(c["execution_count"] for c in notebook["cells"] if c["cell_type"] == "code"), errors[
        -3000:
    ]
    with zipfile.ZipFile(tmp_path / "downloads/results.zip") as taken:
        assert any("ihc_nuclei" in name for name in taken.namelist())
