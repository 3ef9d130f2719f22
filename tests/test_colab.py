"""The whole notebook as Colab runs it: alone in a folder, installed from GitHub, files in and out.

The setup cell's other situations are in test_setup.py.
"""

import json
import zipfile
from typing import Any

from helpers.colab import NOTEBOOK_NAME, Runtime, errors_of, needs_colab
from helpers.places import ROOT

pytestmark = needs_colab


def lesson(changes: dict[str, str]) -> dict[str, Any]:
    """The notebook without outputs; ``changes`` replace what its form fields hold."""
    notebook = json.loads((ROOT / NOTEBOOK_NAME).read_text("utf-8"))
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        for before, after in changes.items():
            source = source.replace(before, after)
        cell["source"] = source
        if cell["cell_type"] == "code":
            cell["outputs"] = []
            cell["execution_count"] = None
    return notebook


def test_it_runs_with_an_uploaded_image_and_downloads_the_results(tmp_path):
    form = {
        "upload = False": "upload = True",
        'network_name = "suggested"': 'network_name = "nuclei"',
    }
    runtime = Runtime(tmp_path)
    cells = runtime.run(lesson(form))
    assert errors_of(cells) == []
    assert all(cell["execution_count"] for cell in cells)
    with zipfile.ZipFile(runtime.downloads / "results.zip") as taken:
        assert any("ihc_nuclei" in name for name in taken.namelist())
