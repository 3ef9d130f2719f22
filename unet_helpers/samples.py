"""The sample images: some are in sample_images/, the others are downloaded at their first use."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .download import Unreachable, cached_path, fetch
from .errors import DownloadError

if TYPE_CHECKING:
    import pandas as pd

# pip installs the samples inside the package; in a clone of the repository they are beside it.
INSTALLED_FOLDER = Path(__file__).parent / "sample_images"
CLONED_FOLDER = Path(__file__).parent.parent / "sample_images"
FOLDER = INSTALLED_FOLDER if INSTALLED_FOLDER.is_dir() else CLONED_FOLDER

# Hosts and addresses that failed in this session. They are not tried again.
unreachable: set[str] = set()


@cache
def table() -> dict[str, dict[str, Any]]:
    """Read samples.json: a dict from a sample's name to its row.

    A row has the card, title and licence, and either a shipped file or a url and its sha256.
    """
    rows = json.loads((FOLDER / "samples.json").read_text(encoding="utf-8"))
    return {row["name"]: row for row in rows}


def sample(name: str, *, ground_truth: bool = False, progress: bool = True) -> Path:
    """Return the path of a sample image, or of its true mask.

    A sample that is not shipped with the package is downloaded, verified and kept in the cache.

    Parameters
    ----------
    name : str
        A name in the first column of ``list_samples()``.
    ground_truth : bool
        Whether to return the expert's mask instead of the image.
    progress : bool
        Whether to show a progress bar during a download.

    Returns
    -------
    Path
        An image file, for ``read_image`` or ``segment``.

    Raises
    ------
    DownloadError
        If there is no such sample, it has no true mask, or it cannot be downloaded.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> uh.sample("fluorescence").name
    'fluorescence.png'
    >>> uh.sample("fluorescence", ground_truth=True).is_file()
    True
    """
    if name not in table():
        raise DownloadError(f"There is no sample {name!r}. Choose one of: {', '.join(table())}.")

    source: dict[str, Any] | None = table()[name]
    if ground_truth:
        source = table()[name].get("ground_truth")
    if not source:
        raise DownloadError(f"The sample {name!r} comes without a true mask.")

    if "file" in source:
        return FOLDER / source["file"]
    return fetch(source["url"], source["sha256"], progress=progress)


def samples_at_hand(card: str | None = None) -> list[str]:
    """List the samples that can be used now: shipped, cached, or downloaded by this call.

    A host that does not answer is tried only once in a session, so this is fast without a network.

    Parameters
    ----------
    card : str, optional
        Only samples for the network of this name; by default all.

    Returns
    -------
    list of str
        Names for ``sample``, in the order of ``list_samples()``.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> uh.samples_at_hand("nuclei_he")
    ['he']
    """
    names = []
    for name, row in table().items():
        is_wanted = card is None or card == row["card"]
        if is_wanted and is_available(row):
            names.append(name)
    return names


def is_available(row: dict[str, Any]) -> bool:
    """Return whether the file of a row is on this computer, after an attempt to download it."""
    if "file" in row:
        return True

    url = row["url"]
    host = urlsplit(url).netloc
    is_cached = cached_path(url, row["sha256"]).is_file()
    has_failed = host in unreachable or url in unreachable
    if has_failed and not is_cached:
        return False

    try:
        fetch(url, row["sha256"])
    except Unreachable:
        unreachable.add(host)
        return False
    except DownloadError:
        # The server answers, so its other files may still be available.
        unreachable.add(url)
        return False
    return True


def list_samples() -> pd.DataFrame:
    """List all sample images, each with its network and its licence.

    Returns
    -------
    pandas.DataFrame
        One row per sample; its index is the name for ``sample``.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> print(uh.list_samples().loc["retina", "model"])
    retinal_vessels
    """
    import pandas as pd

    rows = []
    for name, row in table().items():
        is_shipped = "file" in row
        has_mask = "ground_truth" in row
        rows.append(
            {
                "sample": name,
                "model": row["card"],
                "shows": row["title"],
                "comes": "with the repository" if is_shipped else "by download",
                "expert's mask": "yes" if has_mask else "no",
                "licence": row["licence"],
            }
        )
    return pd.DataFrame(rows).set_index("sample")
