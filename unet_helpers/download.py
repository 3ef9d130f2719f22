"""``fetch(url, sha256)``: files from remote storage, kept in a cache, verified, resumed where they broke off.

The cache is the folder in the environment variable UNET_HELPERS_CACHE, else the user's own (``pooch.os_cache``).
A file lies there as HASH-NAME; a file put there by hand under that name counts as downloaded, if its hash fits.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .errors import DownloadError
from .version import HOME

HOME_URL = f"https://raw.githubusercontent.com/{HOME}/main/"
CONNECT_SECONDS, READ_SECONDS, LOCK_SECONDS = 5.0, 20.0, 3600.0
TRIES, PAUSE_SECONDS = 3, 0.5
MAX_BYTES = 2 * 1024**3
CHUNK = 1 << 14  # what a broken connection loses at most
LATER = (408, 425, 429)  # answers of a server that may change, besides 500 and above


class Unreachable(DownloadError):
    """No server, or none in a state to answer: worth another try, but of no use for its other files now."""


def home_url(relative: str) -> str:
    """The address of a file of this repository; UNET_HELPERS_HOME replaces its home."""
    return os.environ.get("UNET_HELPERS_HOME", HOME_URL).rstrip("/") + "/" + relative


def cached_path(url: str, sha256: str = "", name: str = "") -> Path:
    """Where ``fetch`` keeps the file, whether it is there or not."""
    import pooch

    folder = os.path.expanduser(
        os.environ.get("UNET_HELPERS_CACHE") or pooch.os_cache("unet_helpers")
    )
    key = (sha256.lower() or hashlib.sha256(url.encode()).hexdigest())[:8]
    return (
        Path(folder).absolute()
        / f"{key}-{name or Path(unquote(urlsplit(url).path)).name or 'file'}"
    )


def fetch(
    url: str,
    sha256: str = "",
    *,
    mirrors: Sequence[str] = (),
    name: str = "",
    progress: bool = True,
) -> Path:
    """The path of a verified copy of ``url``; downloaded once, from the first of url and mirrors that has it.

    ``sha256`` may be a prefix of the hash, where only that is known. Raises DownloadError, which says where to
    put the file by hand; the cache never holds a file that does not fit its hash.
    """
    from filelock import FileLock

    try:
        target = cached_path(url, sha256, name)
    except ValueError as error:
        raise DownloadError(f"{url!r} is no address: {error}") from None
    failures = {}
    try:
        if fits(target, sha256):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.lock"), timeout=LOCK_SECONDS):
            if fits(target, sha256):  # another process was faster
                return target
            target.unlink(missing_ok=True)
            for address in (url, *mirrors):
                try:
                    return download(address, target, sha256, progress)
                except DownloadError as error:
                    failures[address] = error
    except (
        OSError,
        ValueError,
        NotImplementedError,
    ) as error:  # the last: a disk that knows no locks
        failures["on this computer"] = error
    reasons = "\n  ".join(f"{where}: {error}" for where, error in failures.items())
    kind = (
        Unreachable
        if all(isinstance(error, Unreachable) for error in failures.values())
        else DownloadError
    )
    raise kind(
        f"{target.name.split('-', 1)[1]} could not be fetched.\n  {reasons}\n"
        f"Without a network: get the file from {url} elsewhere, and put it into the folder {target.parent} "
        f"under the name {target.name}; or set UNET_HELPERS_CACHE to a folder that can be written."
    )


def fits(path: Path, sha256: str) -> bool:
    """Whether this is a file that can be read, with such a hash."""
    import pooch

    try:
        return pooch.file_hash(path).startswith(sha256.lower())
    except OSError:
        return False


def download(url: str, target: Path, sha256: str, progress: bool) -> Path:
    """Fetch ``target`` by way of a .part file beside it, which stays where the connection broke.
    Raises DownloadError after ``TRIES`` tries, at once where another try is of no use, and OSError of the disk.
    """
    part, problems = target.with_name(f".{target.name}.part"), list[DownloadError]()
    other = DownloadError("the file that came is not the one expected (its sha256 differs)")
    while len(problems) < TRIES and problems.count(other) < 2:
        time.sleep(PAUSE_SECONDS * len(problems))
        problem = None
        try:
            receive(url, part, sha256, progress)
        except Unreachable as error:
            problem = error
        if fits(part, sha256) if sha256 else not problem:
            return part.replace(target)
        if (
            not problem
        ):  # it may have begun with a part of something else: once more, from the start
            part.unlink()
        problems.append(problem or other)
    raise problems[-1]


def receive(url: str, part: Path, sha256: str, progress: bool) -> None:
    """One request, for what is missing in ``part``: where no hash will tell whether the pieces fit, for everything.
    Raises Unreachable where another try may help, DownloadError where not, OSError of the disk.
    """
    import requests
    from tqdm.auto import tqdm

    done = part.stat().st_size if sha256 and part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    try:
        if urlsplit(url).scheme not in ("http", "https"):
            raise DownloadError("only http and https addresses are fetched")
        with requests.get(
            url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)
        ) as answer:
            if answer.status_code == 416 and done:
                return  # nothing is missing, or the part is of something else: the hash tells
            if answer.status_code not in ((200, 206) if done else (200,)):
                kind = (
                    Unreachable
                    if answer.status_code >= 500 or answer.status_code in LATER
                    else DownloadError
                )
                raise kind(f"the server answers {answer.status_code} {answer.reason}")
            done = done if answer.status_code == 206 else 0
            length = answer.headers.get("Content-Length", "")
            total = (
                done + int(length)
                if length.isdecimal() and "Content-Encoding" not in answer.headers
                else 0
            )
            if total > MAX_BYTES:
                raise DownloadError(f"{total:,} bytes are more than any file here has")
            shown = {
                "desc": url.rsplit("/", 1)[-1],
                "total": total or None,
                "initial": done,
                "disable": not progress,
            }
            with (
                part.open("ab" if done else "wb") as file,
                tqdm(unit="B", unit_scale=True, **shown) as bar,
            ):
                for block in answer.iter_content(CHUNK):
                    done += len(block)
                    if done > MAX_BYTES:
                        file.truncate(0)
                        raise DownloadError(
                            f"the server does not stop sending after {MAX_BYTES:,} bytes"
                        )
                    file.write(block)
                    bar.update(len(block))
            if done < total:
                raise requests.ConnectionError(f"{done} of {total} bytes came")
    except (requests.TooManyRedirects, ValueError) as error:
        raise DownloadError(f"not a usable address ({error})") from None
    except requests.RequestException as error:
        raise Unreachable(f"no connection, or a broken one ({type(error).__name__})") from None
    except OSError:  # most likely a full disk: give the room back
        part.unlink(missing_ok=True)
        raise
