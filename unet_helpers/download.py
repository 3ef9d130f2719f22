"""``fetch(url, sha256)``: download files, verify and cache them, and resume broken downloads.

The cache is the folder in the environment variable UNET_HELPERS_CACHE, else the user's cache folder
(``pooch.os_cache``). A cached file is called HASH-NAME, with the first 8 digits of the hash. A file
that the user puts there under that name is used, too, if its hash fits.

``pooch.retrieve`` is not used, because it cannot resume, lock, limit the size or try mirrors.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from .errors import DownloadError
from .version import HOME

if TYPE_CHECKING:
    import requests

# The account in HOME before it is known.
PLACEHOLDER = "OWNER/"

# Address of this repository's files.
HOME_URL = f"https://raw.githubusercontent.com/{HOME}/main/"

# Timeouts for the connection and for the next bytes of an answer.
CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0

# How long one process waits for another that fetches the same file.
LOCK_SECONDS = 3600.0

# How often an address is tried. The n-th retry waits n * PAUSE_SECONDS.
TRIES = 3
PAUSE_SECONDS = 0.5

# Larger files are refused, because a server might never stop sending.
MAX_BYTES = 2 * 1024**3

# Bytes written at a time: a broken connection loses no more than these.
CHUNK_BYTES = 1 << 14

# HTTP status codes after which another try may help (timeout, too early, too many requests); so
# may it after 500 and above.
TEMPORARY_STATUS = (408, 425, 429)


class Unreachable(DownloadError):  # noqa: N818 (its base is the error that users know)
    """No server answers, or it has an error: its other files cannot be fetched either."""


def home_url(relative: str) -> str:
    """Return the address of a file of this repository, or below UNET_HELPERS_HOME if it is set.

    Raises DownloadError in a copy of the package that does not know where it is published.
    """
    home = os.environ.get("UNET_HELPERS_HOME", HOME_URL)
    if home == HOME_URL and HOME.startswith(PLACEHOLDER):
        raise DownloadError(
            f"{relative}: this copy of the package does not know where it is published. Run "
            "python docs/set_home.py ACCOUNT/NAME in a clone, or set the environment variable "
            "UNET_HELPERS_HOME to an address that has the file."
        )
    return f"{home.rstrip('/')}/{relative}"


def cached_path(url: str, sha256: str = "", name: str = "") -> Path:
    """Return the path at which ``fetch`` keeps the file, which need not exist."""
    import pooch

    folder = Path(os.environ.get("UNET_HELPERS_CACHE") or pooch.os_cache("unet_helpers"))
    digest = sha256.lower() or hashlib.sha256(url.encode()).hexdigest()
    last_part = Path(unquote(urlsplit(url).path)).name
    file_name = name or last_part or "file"
    return folder.expanduser().absolute() / f"{digest[:8]}-{file_name}"


def fetch(
    url: str,
    sha256: str = "",
    *,
    mirrors: Sequence[str] = (),
    name: str = "",
    progress: bool = True,
) -> Path:
    """Return the path of a verified copy of ``url``, downloaded once and then kept.

    Parameters
    ----------
    url, mirrors
        Addresses (http or https), tried in this order.
    sha256
        SHA-256 of the file in hexadecimal digits, or its first digits; not checked if empty.
    name
        Name of the file in the cache; the last part of the address if empty.
    progress
        Whether to show a progress bar.

    Raises
    ------
    DownloadError
        If no address works. The message gives the reason for each address, and says where the user
        can put the file. No file with a wrong hash is returned.
    """
    try:
        target = cached_path(url, sha256, name)
    except ValueError as error:
        raise DownloadError(f"{url!r} is no address: {error}") from None

    failures: dict[str, Exception] = {}
    try:
        if has_hash(target, sha256):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        path = fetch_alone((url, *mirrors), target, sha256, progress, failures)
        if path is not None:
            return path
    except (OSError, ValueError, NotImplementedError) as error:  # the last: a disk without locks
        failures["on this computer"] = error
    raise all_failed(url, target, failures)


def fetch_alone(
    addresses: Sequence[str],
    target: Path,
    sha256: str,
    progress: bool,
    failures: dict[str, Exception],
) -> Path | None:
    """Fetch from the first address that works, while other processes wait; None if none works.

    The errors are added to ``failures``, by address, in place.
    """
    from filelock import FileLock

    with FileLock(target.with_name(f".{target.name}.lock"), timeout=LOCK_SECONDS):
        if has_hash(target, sha256):  # another process was faster
            return target
        target.unlink(missing_ok=True)
        for address in addresses:
            try:
                return download(address, target, sha256, progress)
            except DownloadError as error:
                failures[address] = error
    return None


def all_failed(url: str, target: Path, failures: dict[str, Exception]) -> DownloadError:
    """Make the error with the reason for each address, and advice for work without a network."""
    file_name = target.name.split("-", 1)[1]
    reasons = "\n  ".join(f"{where}: {error}" for where, error in failures.items())
    message = (
        f"{file_name} could not be fetched.\n  {reasons}\n"
        f"Without a network: get the file from {url} elsewhere, and put it into the folder "
        f"{target.parent} under the name {target.name}; "
        "or set UNET_HELPERS_CACHE to a folder that can be written."
    )
    if all(isinstance(error, Unreachable) for error in failures.values()):
        return Unreachable(message)
    return DownloadError(message)


def has_hash(path: Path, sha256: str) -> bool:
    """Return whether the file can be read and its SHA-256 begins with these digits."""
    import pooch

    try:
        return pooch.file_hash(path).startswith(sha256.lower())
    except OSError:
        return False


def download(url: str, target: Path, sha256: str, progress: bool) -> Path:
    """Download to a .part file, kept if the connection breaks, and rename it to ``target``.

    Raises DownloadError after ``TRIES`` tries, or at once if another try cannot help. Raises
    OSError for errors of the disk.
    """
    part = target.with_name(f".{target.name}.part")
    problems: list[DownloadError] = []
    wrong_files = 0

    # After two files with a wrong hash, a third try cannot help.
    while len(problems) < TRIES and wrong_files < 2:
        time.sleep(PAUSE_SECONDS * len(problems))
        broken = receive_or_break(url, part, sha256, progress)

        if sha256:
            is_complete = has_hash(part, sha256)
        else:
            is_complete = broken is None
        if is_complete:
            return part.replace(target)

        if broken is not None:
            problems.append(broken)
            continue
        # The .part file may have begun with bytes of another file, so the next try starts at 0.
        part.unlink()
        wrong_files += 1
        words = "the file that came is not the one expected (its sha256 differs)"
        problems.append(DownloadError(words))

    raise problems[-1]


def receive_or_break(url: str, part: Path, sha256: str, progress: bool) -> Unreachable | None:
    """Send one request; return the error after which another try may help, else None."""
    try:
        receive(url, part, sha256, progress)
    except Unreachable as error:
        return error
    return None


def receive(url: str, part: Path, sha256: str, progress: bool) -> None:
    """Send one request for the missing bytes of ``part`` and append them.

    Without a hash the pieces cannot be verified, so the whole file is requested. Raises Unreachable
    if another try may help, DownloadError if not, and OSError for errors of the disk.
    """
    import requests

    bytes_here = 0
    if sha256 and part.exists():
        bytes_here = part.stat().st_size
    headers = {"Accept-Encoding": "identity"}
    if bytes_here:
        headers["Range"] = f"bytes={bytes_here}-"

    try:
        if urlsplit(url).scheme not in ("http", "https"):
            raise DownloadError("only http and https addresses are fetched")
        timeouts = (CONNECT_SECONDS, READ_SECONDS)
        with requests.get(url, headers=headers, stream=True, timeout=timeouts) as response:
            if response.status_code == 416 and bytes_here:
                return  # nothing is missing, or the part is of another file: the hash will show it
            refuse_bad_status(response, is_resumed=bytes_here > 0)
            if response.status_code != 206:
                bytes_here = 0
            write_body(response, part, bytes_here, progress)
    except (requests.TooManyRedirects, ValueError) as error:
        raise DownloadError(f"not a usable address ({error})") from None
    except requests.RequestException as error:
        name = type(error).__name__
        raise Unreachable(f"no connection, or a broken one ({name})") from None
    except OSError:  # most likely a full disk: free the space
        part.unlink(missing_ok=True)
        raise


def refuse_bad_status(response: requests.Response, is_resumed: bool) -> None:
    """Raise Unreachable or DownloadError if the answer is not a file or the rest of one."""
    status = response.status_code
    if status == 200 or (is_resumed and status == 206):
        return
    message = f"the server answers {status} {response.reason}"
    if status >= 500 or status in TEMPORARY_STATUS:
        raise Unreachable(message)
    raise DownloadError(message)


def write_body(response: requests.Response, part: Path, bytes_here: int, progress: bool) -> None:
    """Write the answer behind the first ``bytes_here`` bytes of ``part``; at most MAX_BYTES."""
    import requests
    from tqdm.auto import tqdm

    total = announced_bytes(response)
    if total is not None:
        total += bytes_here
        if total > MAX_BYTES:
            raise DownloadError(f"{total:,} bytes are more than any file here has")

    mode = "ab" if bytes_here else "wb"
    bar = tqdm(
        desc=response.url.rsplit("/", 1)[-1],
        total=total,
        initial=bytes_here,
        unit="B",
        unit_scale=True,
        disable=not progress,
    )
    with part.open(mode) as file, bar:
        for block in response.iter_content(CHUNK_BYTES):
            bytes_here += len(block)
            if bytes_here > MAX_BYTES:
                file.truncate(0)
                words = f"the server does not stop sending after {MAX_BYTES:,} bytes"
                raise DownloadError(words)
            file.write(block)
            bar.update(len(block))

    if total is not None and bytes_here < total:
        raise requests.ConnectionError(f"{bytes_here} of {total} bytes came")


def announced_bytes(response: requests.Response) -> int | None:
    """Return the number of bytes the server announces; None if unknown or compressed."""
    length = response.headers.get("Content-Length", "")
    if not length.isdecimal() or "Content-Encoding" in response.headers:
        return None
    return int(length)
