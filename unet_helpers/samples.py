"""The sample images: those in sample_images/, and those fetched on first use."""

import json
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from .download import Unreachable, cached_path, fetch
from .errors import DownloadError

INSTALLED, CLONED = Path(__file__).parent / "sample_images", Path(__file__).parent.parent / "sample_images"
FOLDER = INSTALLED if INSTALLED.is_dir() else CLONED
unreachable: set[str] = set()  # hosts and addresses that failed in this session: tried once, not at every cell


@cache
def table() -> dict[str, dict]:
    """samples.json: name to card, title, licence, and either a shipped file or url and sha256."""
    return {row["name"]: row for row in json.loads((FOLDER / "samples.json").read_text(encoding="utf-8"))}


def sample(name: str, *, ground_truth: bool = False, progress: bool = True) -> Path:
    """The path of a sample image, or of its true mask; fetched, verified and cached where it is not shipped.

    Raises DownloadError (no network, unknown name, no ground truth).
    """
    if name not in table():
        raise DownloadError(f"There is no sample {name!r}. Choose one of: {', '.join(table())}.")
    row = table()[name]
    source = row.get("ground_truth") if ground_truth else row
    if not source:
        raise DownloadError(f"The sample {name!r} comes without a true mask.")
    if "file" in source:
        return FOLDER / source["file"]
    return fetch(source["url"], source["sha256"], progress=progress)


def samples_at_hand(card: str | None = None) -> list[str]:
    """Names of the samples that can be used now: shipped, cached, or fetched by this call. Offline it gives up soon."""
    names = [name for name, row in table().items() if card in (None, row["card"])]
    return [name for name in names if is_at_hand(table()[name])]


def is_at_hand(row: dict) -> bool:
    if "file" in row:
        return True
    host = urlsplit(row["url"]).netloc
    if not cached_path(row["url"], row["sha256"]).is_file() and unreachable & {host, row["url"]}:
        return False
    try:
        fetch(row["url"], row["sha256"])
        return True
    except Unreachable:
        unreachable.add(host)
    except DownloadError:  # this file only, as far as is known
        unreachable.add(row["url"])
    return False


def list_samples():
    """All samples as a pandas.DataFrame."""
    import pandas as pd

    columns = ["sample", "model", "shows", "comes", "expert's mask", "licence"]
    ways = {True: "with the repository", False: "by download"}
    rows = [
        (n, r["card"], r["title"], ways["file" in r], ("no", "yes")["ground_truth" in r], r["licence"])
        for n, r in table().items()
    ]
    return pd.DataFrame(rows, columns=columns).set_index("sample")
