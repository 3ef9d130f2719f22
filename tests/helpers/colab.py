"""Notebooks run as Colab runs them: with its versions, and with a stand-in for google.colab.

Needs the environment variable COLAB_PYTHON, a Python with the packages of
tests/colab/requirements.txt; .ci/run makes one.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from helpers.places import ROOT
from unet_helpers.version import HOME

NOTEBOOK_NAME = "Medical_Image_Segmentation.ipynb"
PYTHON = os.environ.get("COLAB_PYTHON", "")
GITHUB = f"https://github.com/{HOME}"

needs_colab = [
    pytest.mark.colab,
    pytest.mark.skipif(not PYTHON, reason="COLAB_PYTHON names no Python with Colab's packages"),
]


@dataclass(frozen=True)
class Runtime:
    """A computer that runs notebooks, as a test finds it; all of it lies in one folder."""

    folder: Path
    # What answers for the repository's address on GitHub: a clone, or a path where nothing is.
    github: Path = ROOT
    # More places where Python finds packages.
    packages: tuple[Path, ...] = ()
    in_colab: bool = True

    @property
    def content(self) -> Path:
        """The folder of the notebook, which is empty at first."""
        return self.folder / "content"

    @property
    def installed(self) -> Path:
        """Where pip installs: a folder of the test's own, not COLAB_PYTHON's."""
        version = subprocess.check_output(
            [PYTHON, "-c", "import sys; print('python%d.%d' % sys.version_info[:2])"], text=True
        )
        return self.folder / "prefix/lib" / version.strip() / "site-packages"

    @property
    def downloads(self) -> Path:
        """Where the browser puts what a notebook lets it download."""
        return self.folder / "downloads"

    def prepare(self) -> None:
        """Make the folders, and let Colab's stand-in be imported when a notebook starts."""
        startup = self.folder / "ipython/profile_default/startup"
        for folder in (self.content, self.installed, self.downloads, startup):
            folder.mkdir(parents=True, exist_ok=True)
        if self.in_colab:
            (startup / "colab.py").write_text("import google.colab\n")

    def environment(self) -> dict[str, str]:
        """The environment variables of the notebook."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        places = [ROOT / "tests/colab", self.installed, *self.packages]
        return kept | {
            "PYTHONPATH": os.pathsep.join(str(place) for place in places),
            "PIP_PREFIX": str(self.folder / "prefix"),
            "PIP_NO_WARN_SCRIPT_LOCATION": "1",
            "IPYTHONDIR": str(self.folder / "ipython"),
            "UNET_HELPERS_CACHE": str(self.folder / "cache"),
            "COLAB_UPLOAD": str(ROOT / "sample_images/ihc.png"),
            "COLAB_DOWNLOADS": str(self.downloads),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.github}.insteadOf",
            "GIT_CONFIG_VALUE_0": GITHUB,
        }

    def run(self, notebook: dict[str, Any]) -> list[dict[str, Any]]:
        """Execute a notebook to its end, errors or not; returns its code cells with outputs."""
        self.prepare()
        path = self.content / NOTEBOOK_NAME
        path.write_text(json.dumps(notebook))
        command = [PYTHON, "-m", "jupyter", "execute", "--inplace", "--allow-errors"]
        subprocess.run(
            [*command, "--timeout=600", path.name],
            cwd=self.content,
            env=self.environment(),
            capture_output=True,
            timeout=1200,
            check=True,
        )
        cells = json.loads(path.read_text())["cells"]
        return [cell for cell in cells if cell["cell_type"] == "code"]


def make_notebook(sources: Sequence[str]) -> dict[str, Any]:
    """Make a notebook of code cells."""
    cells = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": source,
        }
        for number, source in enumerate(sources)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def errors_of(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The errors in the outputs of cells."""
    return [
        output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"
    ]


def text_of(cell: dict[str, Any]) -> str:
    """What a cell printed."""
    return "".join("".join(output.get("text", "")) for output in cell["outputs"])
