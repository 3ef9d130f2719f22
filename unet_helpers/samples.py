"""The sample images: those in sample_images/, those fetched on first use, and one drawn by the computer."""

import json
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np

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
    source = table()[name].get("ground_truth") if ground_truth else table()[name]
    if not source:
        raise DownloadError(f"The sample {name!r} comes without a true mask.")
    if "file" in source:
        return FOLDER / source["file"]
    return fetch(source["url"], source["sha256"], progress=progress)


def samples_at_hand(card: str | None = None) -> list[str]:
    """Names of the samples that can be used now: shipped, cached, or fetched by this call. Offline it gives up soon."""
    return [name for name, row in table().items() if card in (None, row["card"]) and is_at_hand(row)]


def is_at_hand(row: dict) -> bool:
    if "file" in row:
        return True
    url, sha256, host = row["url"], row["sha256"], urlsplit(row["url"]).netloc
    if cached_path(url, sha256).is_file() or not unreachable & {host, url}:
        try:
            return bool(fetch(url, sha256))
        except DownloadError as error:  # where the server answers, it is this file only, as far as is known
            unreachable.add(host if isinstance(error, Unreachable) else url)
    return False


def list_samples():
    """All samples as a pandas.DataFrame."""
    import pandas as pd

    return pd.DataFrame({
        "sample": name, "model": row["card"], "shows": row["title"],
        "comes": "with the repository" if "file" in row else "by download",
        "expert's mask": "yes" if "ground_truth" in row else "no", "licence": row["licence"],
    } for name, row in table().items()).set_index("sample")  # fmt: skip


def draw_nuclei(count: int = 60, side: int = 512, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A phantom: glowing nuclei as in fluorescence microscopy, pixels (side, side) uint8 and their instance ids int32.

    Ellipses of 20 to 36 px, some touching, with uneven brightness, blur and camera noise; the same for a seed.
    """
    random = np.random.default_rng(seed)
    light, truth = np.full((side, side), 14.0, np.float32), np.zeros((side, side), np.int32)
    for number in range(1, count + 1):
        centre, axes = random.integers(12, side - 12, 2).tolist(), random.integers(10, 19, 2).tolist()
        mask = cv2.ellipse(np.zeros((side, side), np.uint8), centre, axes, float(random.uniform(0, 180)), 0, 360, 1, -1)
        fresh = (mask > 0) & (truth == 0)
        if fresh.sum() > 0.75 * mask.sum():  # nuclei touch, but do not lie on top of one another
            truth[fresh] = number
            light[fresh] += random.uniform(40, 190)
    texture = cv2.GaussianBlur(random.normal(1, 1.2, (side, side)).astype(np.float32), (0, 0), 3)
    light = cv2.GaussianBlur(light * np.clip(texture, 0.5, 1.5), (0, 0), 1.0)
    return np.clip(random.poisson(light), 0, 255).astype(np.uint8), truth
