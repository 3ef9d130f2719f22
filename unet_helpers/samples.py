"""The sample images: those in sample_images/, and those fetched on first use."""

import json
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from .download import Unreachable, cached_path, fetch
from .errors import DownloadError

INSTALLED, CLONED = (
    Path(__file__).parent / "sample_images",
    Path(__file__).parent.parent / "sample_images",
)
FOLDER = INSTALLED if INSTALLED.is_dir() else CLONED
unreachable: set[str] = (
    set()
)  # hosts and addresses that failed in this session: tried once, not at every cell


@cache
def table() -> dict[str, dict]:
    """samples.json: name to card, title, licence, and either a shipped file or url and sha256."""
    return {
        row["name"]: row
        for row in json.loads((FOLDER / "samples.json").read_text(encoding="utf-8"))
    }


def sample(name: str, *, ground_truth: bool = False, progress: bool = True) -> Path:
    """The path of a sample image, or of its true mask; fetched, verified and cached where it is not shipped.
    Raises DownloadError (no network, unknown name, no ground truth).
    """
    if name not in table():
        raise DownloadError(f"There is no sample {name!r}. Choose one of: {', '.join(table())}.")
    source = table()[name].get("ground_truth") if ground_truth else table()[name]
    if not source:
        raise DownloadError(f"The sample {name!r} comes without a true mask.")
    if "file" in source:
        return FOLDER / source["file"]
    return fetch(source["url"], source["sha256"], progress=progress)


def samples_at_hand(card: str | None = None) -> list[str]:
    """Names of the samples that can be used now: shipped, cached, or fetched by this call. Offline it gives up soon."""
    return [
        name for name, row in table().items() if card in (None, row["card"]) and is_at_hand(row)
    ]


def is_at_hand(row: dict) -> bool:
    if "file" in row:
        return True
    url, sha256, host = row["url"], row["sha256"], urlsplit(row["url"]).netloc
    if cached_path(url, sha256).is_file() or not unreachable & {host, url}:
        try:
            return bool(fetch(url, sha256))
        except (
            DownloadError
        ) as error:  # where the server answers, it is this file only, as far as is known
            unreachable.add(host if isinstance(error, Unreachable) else url)
    return False


def list_samples():
    """All samples as a pandas.DataFrame."""
    import pandas as pd

    return pd.DataFrame(
        {
            "sample": name,
            "model": row["card"],
            "shows": row["title"],
            "comes": "with the repository" if "file" in row else "by download",
            "expert's mask": "yes" if "ground_truth" in row else "no",
            "licence": row["licence"],
        }
        for name, row in table().items()
    ).set_index("sample")
