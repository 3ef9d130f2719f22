"""Write the address of the repository everywhere: python docs/set_home.py ACCOUNT/NAME.

It is the constant ``HOME`` of unet_helpers/version.py. Documents, the notebook and the citation
repeat it, and tests/test_readme.py holds them to it.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Files that hold the address; of the folders, all Markdown in them.
FILES = (
    "unet_helpers/version.py",
    "README.md",
    "CONTRIBUTING.md",
    "CITATION.cff",
    "Medical_Image_Segmentation.ipynb",
)
FOLDERS = ("docs", ".github")

ADDRESS = re.compile(r"[A-Za-z0-9-]+/[\w.-]+")


def replaced(text: str, old: str, new: str) -> str:
    """Replace ACCOUNT/NAME, and the address of the site, ACCOUNT.github.io/NAME."""
    old_owner, old_name = old.split("/")
    new_owner, new_name = new.split("/")
    text = text.replace(f"{old_owner}.github.io/{old_name}", f"{new_owner}.github.io/{new_name}")
    return re.sub(rf"\b{re.escape(old)}(?![\w-])", new, text)


def set_home(root: Path, new: str) -> list[Path]:
    """Write the address to all files below ``root`` that hold the old one; return those."""
    version = (root / "unet_helpers/version.py").read_text("utf-8")
    found = re.search(r'HOME = "(.+)"', version)
    if found is None:
        raise SystemExit("unet_helpers/version.py has no HOME.")

    paths = [root / name for name in FILES]
    for folder in FOLDERS:
        paths += sorted(
            path for ending in ("*.md", "*.yml") for path in (root / folder).rglob(ending)
        )
    changed = []
    for path in paths:
        text = path.read_text("utf-8")
        if replaced(text, found[1], new) != text:
            path.write_text(replaced(text, found[1], new), "utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    if len(sys.argv) != 2 or not ADDRESS.fullmatch(sys.argv[1]):
        raise SystemExit("usage: python docs/set_home.py ACCOUNT/NAME")
    for changed_file in set_home(ROOT, sys.argv[1]):
        print(changed_file.relative_to(ROOT))
