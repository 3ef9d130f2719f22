"""Many images on any ``concurrent.futures`` executor: in memory (``segment_many``) or on disk (``segment_folder``)."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from functools import lru_cache, partial
from pathlib import Path
from queue import Empty, SimpleQueue
from uuid import uuid4

from tqdm.auto import tqdm

from ..errors import ImageError, ModelError, SaveError, UNetHelpersError
from ..files import written_whole
from ..images.read import describe
from ..networks.load import load_model, sha256_of
from ..networks.unet import UNet
from ..results.save import save
from ..results.segmentation import Segmentation
from .segment import check_settings
from .sources import Source, find_images, place

SILENCE = (
    10.0  # seconds without an answer, after which an executor is asked whether it still takes work
)
# a file of a folder that cannot be read is a failure if its name promises an image, else it is left out
ENDINGS = ".png .jpg .jpeg .bmp .gif .webp .tif .tiff .nii .gz .img .hdr .dcm .npy .npz .nrrd .mha .mhd .mgz .czi .nd2"


def segment_many(
    source, model, executor: Executor | None = None, *, progress: bool = True, **options
) -> list[Segmentation]:
    """Segment all images of ``source`` (file, folder, pattern, web address, or a list of them) with one network.

    A file that is no image is named in a line and left out; ImageError where none is left. ``executor`` runs
    them side by side (threads: PyTorch works on all cores already; processes or a cluster for more). All answers stay
    in memory, ``segment_folder`` saves them instead. ``options`` are those of ``segment``.
    """
    sources, model = find_images(source, "series" in options), load_model(model)
    check_settings(model.card, **options)
    one, answers = len(sources) == 1, {}
    work = partial(Source.segmented, model=model, progress=progress and one, **options)
    for item, answer in tqdm(
        each(work, sources, executor), "images", len(sources), disable=not progress or one
    ):
        if isinstance(answer, Segmentation):
            answers[item] = answer
        elif one or not isinstance(answer, UNetHelpersError):
            raise answer
        else:
            tqdm.write(f"left out: {answer}")
    if not answers:
        raise answer if sources else ImageError(f"{source}: there is nothing in this folder.")
    return [answers[item] for item in sources if item in answers]


def segment_folder(
    source,
    model,
    out="results",
    executor: Executor | None = None,
    *,
    overwrite=False,
    progress: bool = True,
    **options,
):
    """Segment all images of ``source``, save each result as it comes; returns a pandas.DataFrame with a row for each.

    ``source`` and ``options`` are as in ``segment_many``. ``out`` mirrors sub-folders, no result replaces another; the
    table is kept there in summary.csv, also of failures. What has its manifest (JSON) is done and not done again;
    a result made otherwise or from another file is refused before computing, unless ``overwrite``. ``executor``: of
    ``concurrent.futures``, or Dask's ``Client(...).get_executor()``; each worker loads the network once, from a name or
    file that it can see. ``progress`` also prints notes and warnings. Raises ImageError where there is nothing to do,
    ArgumentError, ModelError and SaveError before computing, UNetHelpersError where the executor ends too early.
    """
    import pandas as pd

    network, out = load_model(model), Path(os.path.abspath(Path(out).expanduser()))
    check_settings(network.card, **options)
    sources = place(find_images(source, "series" in options, out), out, network.card.name)
    if not sources:
        raise ImageError(f"{source}: there is nothing in this folder.")
    if out.is_file() or any(item.base == out for item in sources):
        raise SaveError(
            f"{out}: a file, or the folder of the images, which results are not. Choose another folder."
        )
    if (summary := out / "summary.csv").exists() and not summary.read_bytes().startswith(
        b"input,series,status,"
    ):
        raise SaveError(
            f"{summary} is another program's file: move it away first, or choose another folder."
        )
    say, silent = (
        (partial(tqdm.write, file=sys.stderr), None) if progress else (str, True)
    )  # None: no bar in a log
    # a network that is in no file cannot be told from others in a later call
    asked = json.loads(
        json.dumps({"weights": network.weights_sha256 or uuid4().hex, **options}, default=float)
    )
    if str(model).endswith(".safetensors"):
        model = os.path.abspath(Path(model).expanduser())  # a worker may stand in another folder
    own = {"model": model} if executor else {"model": network, "tell": say}
    work, rows = partial(save_one, asked=asked, overwrite=overwrite, **own, **options), {}
    try:
        for item, row in tqdm(
            each(work, sources, executor), "images", len(sources), disable=silent
        ):
            if isinstance(row, Exception):
                error = (
                    str(row)
                    if isinstance(row, UNetHelpersError)
                    else f"{item.image}: {describe(row)}"
                )
                left_out = (
                    item.base
                    and not item.options
                    and item.image.suffix.lower() not in ENDINGS.split()
                )
                row = row_of(item, "left out" if left_out else "failed", error=error)
            rows[item] = row
            for words in filter(
                None, (row["notes"], row["warnings"], row["explanation"])[0 if executor else 2 :]
            ):
                say(f"{item.image}: {words}")
            if (status := row["status"].replace("failed", "error")) != "saved":
                there = f"{item.result.parent} already holds {item.result.name}; --overwrite does it again"
                say(f"{status}: {row['error'] or f'{item.image}: {there}'}")
    finally:
        table = pd.DataFrame([rows.get(item) or row_of(item, "not done") for item in sources])
        out.mkdir(parents=True, exist_ok=True)
        with written_whole(summary) as part:
            table.to_csv(part, index=False)
    return table


def each(work: Callable, sources: list[Source], executor: Executor | None) -> Iterator[tuple]:
    """(source, answer or error) as they come; UNetHelpersError where the executor ends before they do."""
    if executor is None:
        yield from ((source, outcome(partial(work, source))) for source in sources)
        return
    finished: SimpleQueue[Future] = SimpleQueue()
    try:
        waiting = {executor.submit(work, source): source for source in sources}
        for future in waiting:
            future.add_done_callback(finished.put)
        while waiting:
            try:
                future = finished.get(timeout=SILENCE)
            except Empty:  # futures of a Dask client that lost its scheduler never end, but it takes no more work
                executor.submit(bool).cancel()
            else:
                yield waiting.pop(future), outcome(future.result)
    except Exception as error:
        words = (
            "What is saved is kept: start it again and repeat the call, which goes on from there."
        )
        stopped = f"The executor stopped before the images were done: {describe(error)}. {words}"
        raise UNetHelpersError(stopped) from error


def outcome(call: Callable):
    """What a call returns or raises: one image must not end the others."""
    try:
        return call()
    except (BrokenExecutor, CancelledError):
        raise
    except Exception as error:
        return error


def save_one(
    source: Source, model, asked: dict, overwrite: bool, tell: Callable | None = None, **options
) -> dict:
    """The row of the summary, once the result is saved; ``asked`` are its weights and options."""
    if not overwrite and (
        row := earlier(source, asked)
    ):  # also by a worker that was lost before it could say so
        return row
    result = source.segmented(loaded(model, asked["weights"]), progress=False, tell=tell, **options)
    save(result, source.result.parent, overwrite=True, record={"asked": asked})
    return row_of(source, "saved", json.loads(source.result.read_text("utf-8")))


@lru_cache(1)
def loaded(model, weights: str) -> UNet:
    """The network, loaded once in each process; ModelError where it has other weights here than it had at the start."""
    network = load_model(model)
    if network.weights_sha256 not in ("", weights):
        raise ModelError(
            f"{model}: not the weights with which the work was sent. Use the same file everywhere."
        )
    return network


def earlier(source: Source, asked: dict) -> dict | None:
    """The row of a result that is there: done, or refused because it was made otherwise; None where there is none.
    Files without a manifest, which is written last, are those of a save that was broken off, and may be replaced.
    """
    if not source.result.exists():
        return None
    try:
        record = dict(json.loads(source.result.read_text("utf-8")))
    except (ValueError, TypeError):  # cut off, or another program's
        record = {}
    if record.get("asked") == asked and (
        source.image.is_dir() or sha256_of(source.image) == record["input_sha256"]
    ):
        return row_of(source, "done before", record)
    words = f"{source.result.parent} already holds {source.result.name}, made from another file or with other settings"
    return row_of(
        source,
        "failed",
        error=f"{source.image}: {words}: --overwrite (overwrite=True) replaces it.",
    )


def row_of(source: Source, status: str, record: dict = {}, error: str = "") -> dict:
    """What the summary says of one image; ``record`` is its manifest."""
    found = {
        f"{name} ({unit})" if unit else name: value
        for name, (value, unit) in record.get("summary", {}).items()
    }
    said = {
        name: " | ".join(filter(None, record.get(name, ())))
        for name in ("notes", "warnings", "explanation")
    }
    first = {
        "input": str(source.image),
        "series": source.options.get("series", ""),
        "status": status,
    }
    return first | found | said | {"error": error, "result": str(source.result)}
