"""``segment_folder`` on executors: the same files, and what stopped too early goes on."""

import json
import multiprocessing
import threading
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)

import pandas as pd
import pytest
from helpers.folders import draw, manifests_in, write_images, write_network

import unet_helpers as uh
from unet_helpers.inference import batch, folder_job


@pytest.fixture
def network(tmp_path):
    """The path of a small network's file."""
    return write_network(tmp_path)


@pytest.fixture
def folder(tmp_path):
    """Six images in three folders, and two files that are none."""
    return write_images(tmp_path)


def two_threads() -> ThreadPoolExecutor:
    """An executor of threads."""
    return ThreadPoolExecutor(2)


def two_processes() -> ProcessPoolExecutor:
    """An executor of processes that begin anew, as on Windows."""
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


@pytest.mark.parametrize(
    "make_executor", [two_threads, pytest.param(two_processes, marks=pytest.mark.slow)]
)
def test_any_executor_gives_the_same_files(make_executor, folder, network, tmp_path):
    uh.segment_folder(folder, network, tmp_path / "one", progress=False)
    with make_executor() as executor:
        table = uh.segment_folder(folder, network, tmp_path / "many", executor, progress=False)
    assert (table.status == "saved").sum() == 6
    assert manifests_in(tmp_path / "many") == manifests_in(tmp_path / "one")
    for path in (tmp_path / "one").rglob("*_labels.png"):
        other = tmp_path / "many" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes()


def test_weights_are_loaded_once_in_a_process(folder, network, tmp_path, monkeypatch):
    loads = []

    def spy(model):
        loads.append(model)
        return uh.load_model(model)

    monkeypatch.setattr(batch, "load_model", spy)
    monkeypatch.setattr(folder_job, "load_model", spy)
    with ThreadPoolExecutor(1) as executor:
        uh.segment_folder(folder, network, tmp_path / "out", executor, progress=False)
    assert len(loads) == 2  # to look at it before anything is computed, and by the worker


class Dying(ThreadPoolExecutor):
    """Does ``good`` pieces of work, and then ends as a broken pool or a lost scheduler does."""

    def __init__(self, good, error):
        super().__init__(1)
        self.left = good
        self.error = error

    def submit(self, *work):
        self.left -= 1
        if self.left >= 0:
            return super().submit(*work)
        if self.error is RuntimeError:
            self.shutdown()
            raise RuntimeError("cannot schedule new futures after shutdown")
        future = Future()
        if self.error is CancelledError:
            future.cancel()
            future.set_running_or_notify_cancel()
        else:
            future.set_exception(self.error("gone"))
        return future


@pytest.mark.parametrize("error", [CancelledError, BrokenExecutor, RuntimeError])
def test_an_executor_that_ends_too_early_loses_nothing(error, folder, network, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(uh.UNetHelpersError, match="executor stopped"), Dying(3, error) as executor:
        uh.segment_folder(folder, network, out, executor, progress=False)
    kept = manifests_in(out)
    rows = pd.read_csv(out / "summary.csv")
    assert (rows.status == "not done").sum() >= 4
    assert len(rows) == 7
    assert 2 <= len(kept) <= 3
    table = uh.segment_folder(folder, network, out, progress=False)
    assert table.status.isin(["saved", "done before", "left out"]).all()
    assert len(manifests_in(out)) == 6
    assert (table.status == "done before").sum() == len(kept)


def test_an_executor_that_falls_silent_is_noticed(folder, network, tmp_path, monkeypatch):
    """As Dask's does: the futures of a client that lost its scheduler never end."""
    monkeypatch.setattr("unet_helpers.inference.executors.SILENCE", 0.2)
    asked = []

    class Silent(ThreadPoolExecutor):
        def submit(self, work, *job):
            asked.append(job)
            if len(asked) > 7 + 2:
                raise RuntimeError("closed")
            return super().submit(work, *job) if len(asked) == 1 else Future()

    with pytest.raises(uh.UNetHelpersError, match="executor stopped"), Silent(1) as executor:
        uh.segment_folder(folder, network, tmp_path / "out", executor, progress=False)
    assert len(asked) == 10  # twice it still took work, and was waited for


def test_a_task_that_runs_twice_is_done_once(folder, network, tmp_path):
    """A scheduler gives the work of a lost worker to another one, also where it was finished."""
    calls = []

    class Twice(ThreadPoolExecutor):
        def submit(self, work, job):
            calls.append(job)
            super().submit(work, job).result()
            return super().submit(work, job)

    with Twice(1) as executor:
        table = uh.segment_folder(
            folder / "x.png", network, tmp_path / "out", executor, progress=False
        )
    assert len(calls) == 1
    assert list(table.status) == ["done before"]


def test_a_worker_with_other_weights_says_so(folder, network, tmp_path):
    class Elsewhere(ThreadPoolExecutor):
        def submit(self, work, job):
            work.__self__.asked["weights"] = "0" * 64
            return super().submit(work, job)

    with Elsewhere(1) as executor:
        table = uh.segment_folder(
            folder / "x.png", network, tmp_path / "out", executor, progress=False
        )
    assert "not the weights" in table.error[0]


def test_threads_that_run_at_once_write_whole_files(folder, network, tmp_path):
    barrier = threading.Barrier(2, timeout=60)
    for seed in range(8):
        draw(folder / f"many/{seed}.png", seed)
    with ThreadPoolExecutor(2, initializer=barrier.wait) as executor:
        uh.segment_folder(folder, network, tmp_path / "out", executor, progress=False)
    manifests = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("*.json")]
    assert len(manifests) == 14
    for manifest in manifests:
        assert manifest["asked"]["weights"] == manifest["weights_sha256"]
