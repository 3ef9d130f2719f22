"""One command writes the repository's address to everything that repeats it."""

import re
import shutil
import subprocess
import sys

from helpers.places import ROOT

from docs.set_home import FILES, FOLDERS, replaced, set_home
from unet_helpers.version import HOME


def test_all_addresses_are_written_and_back(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, dirs_exist_ok=True)

    changed = {path.relative_to(tmp_path).as_posix() for path in set_home(tmp_path, "me/my-copy")}
    assert {"unet_helpers/version.py", "README.md", "CITATION.cff"} <= changed
    assert "Medical_Image_Segmentation.ipynb" in changed
    owner, name = HOME.split("/")
    for path in changed:
        text = (tmp_path / path).read_text("utf-8")
        assert "me/my-copy" in text or "me.github.io/my-copy" in text
        assert not re.search(rf"{owner}(\.github\.io)?/{name}", text), path

    set_home(tmp_path, HOME)
    for name in changed:
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes(), name


def test_longer_names_are_left_alone():
    assert replaced("x/A-b and x/A", "x/A", "y/B") == "x/A-b and y/B"
    assert replaced("https://x.github.io/A/", "x/A", "y/B") == "https://y.github.io/B/"


def test_what_is_no_address_is_refused():
    done = subprocess.run(
        [sys.executable, ROOT / "docs/set_home.py", "nobody"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "ACCOUNT/NAME" in done.stderr
