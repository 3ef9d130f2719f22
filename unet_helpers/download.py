"""``fetch(url, sha256)``: files from remote storage, kept in a cache, verified, resumed where they broke off.

The cache is the folder in the environment variable UNET_HELPERS_CACHE, else the user's own (``pooch.os_cache``).
A file lies there as HASH-NAME; a file put there by hand under that name counts as downloaded, if its hash fits.
"""

import hashlib
import os
import time
import warnings
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import unquote, urlsplit

from .errors import DownloadError

# where this repository lives: the one line to change when it gets its home
HOME_URL = "https://raw.githubusercontent.com/OWNER/Medical-Image-Segmentation-using-U-Net/main/"

CONNECT_SECONDS, READ_SECONDS, TRIES, PAUSE_SECONDS = 5.0, 20.0, 3, 0.5
MAX_BYTES = 2 * 1024**3
CHUNK = 1 << 18


def home_url(relative: str) -> str:
    """The address of a file of this repository; UNET_HELPERS_HOME replaces its home."""
    return os.environ.get("UNET_HELPERS_HOME", HOME_URL).rstrip("/") + "/" + relative


def cached_path(url: str, sha256: str = "", name: str | None = None) -> Path:
    """Where ``fetch`` keeps the file, whether it is there or not."""
    import pooch

    folder = Path(os.environ.get("UNET_HELPERS_CACHE") or pooch.os_cache("unet_helpers"))
    key = (sha256 or hashlib.sha256(url.encode()).hexdigest())[:8]
    return folder / f"{key}-{name or Path(unquote(urlsplit(url).path)).name or 'file'}"


def fetch(
    url: str, sha256: str = "", *, mirrors: tuple[str, ...] = (), name: str | None = None, progress: bool = True
) -> Path:
    """The path of a verified copy of ``url``; downloaded once, from the first of url and mirrors that has it.

    ``sha256`` may be a prefix of the hash, where only that is known. Raises DownloadError, which says where to
    put the file by hand; the cache never holds a file that does not fit its hash.
    """
    target = cached_path(url, sha256, name)
    if target.is_file() and fits(target, sha256):
        return target
    folder = writable(target.parent)
    target, part = folder / target.name, folder / f".{target.name}.{os.getpid()}.part"
    reasons = []
    try:
        for address in (url, *mirrors):
            try:
                download(address, part, sha256, progress)
                part.replace(target)
                return target
            except DownloadError as error:
                reasons.append(f"{address}: {error}")
            except OSError as error:
                reasons.append(f"{folder}: {error}")
                break
    finally:
        part.unlink(missing_ok=True)
    raise DownloadError(
        f"{target.name.split('-', 1)[1]} could not be fetched.\n  "
        + "\n  ".join(reasons)
        + f"\nWithout a network: get the file from {url} elsewhere and put it at {target}"
    )


def fits(path: Path, sha256: str) -> bool:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest().startswith(sha256.lower())


def writable(folder: Path) -> Path:
    """The folder, made if need be; a temporary one, with a warning, where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
        return folder
    except OSError as error:
        aside = Path(mkdtemp(prefix="unet_helpers-"))
        warnings.warn(f"The cache {folder} cannot be written ({error}); using {aside} this time.", stacklevel=3)
        return aside


def download(url: str, part: Path, sha256: str, progress: bool) -> None:
    """To ``part``, going on where an earlier try broke off; DownloadError after ``TRIES`` tries."""
    import requests

    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError("only http and https addresses are fetched")
    for attempt in range(1, TRIES + 1):
        try:
            receive(url, part, progress)
            if fits(part, sha256):
                return
            part.unlink()
            problem = "the file that came is not the one expected (its sha256 differs)"
        except requests.TooManyRedirects:
            raise DownloadError("redirects in a circle") from None
        except requests.HTTPError as error:
            problem = f"the server answers {error.response.status_code} {error.response.reason}"
            if error.response.status_code < 500:
                raise DownloadError(problem) from None
        except requests.RequestException as error:
            problem = f"no connection, or a broken one ({type(error).__name__})"
        if attempt < TRIES:
            time.sleep(PAUSE_SECONDS * 2**attempt)
    raise DownloadError(problem)


def receive(url: str, part: Path, progress: bool) -> None:
    """One request; asks only for what is still missing."""
    import requests
    from tqdm.auto import tqdm

    done = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={done}-", "Accept-Encoding": "identity"} if done else {"Accept-Encoding": "identity"}
    with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as answer:
        if answer.status_code == 416:  # nothing is missing, or the file has changed: start anew
            part.unlink()
            raise requests.ConnectionError("range not satisfiable")
        answer.raise_for_status()
        done = done if answer.status_code == 206 else 0
        total = done + int(answer.headers.get("Content-Length", 0))
        if total > MAX_BYTES:
            raise DownloadError(f"{total:,} bytes are more than expected of any file here")
        bar = tqdm(
            total=total or None, initial=done, unit="B", unit_scale=True, desc=Path(url).name, disable=not progress
        )
        with part.open("ab" if done else "wb") as file, bar:
            for block in answer.iter_content(CHUNK):
                done += len(block)
                if done > MAX_BYTES:
                    raise DownloadError("the server does not stop sending")
                file.write(block)
                bar.update(len(block))
        if total and done < total:
            raise requests.ConnectionError(f"{done} of {total} bytes came")
