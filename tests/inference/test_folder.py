"""``segment_folder``: every image once, saved as it comes, nothing lost or replaced, and work that stopped goes on."""

import json
import os
import threading
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)

import numpy as np
import pandas as pd
import pytest
from helpers.files import named
from helpers.networks import make_network
from PIL import Image

import unet_helpers as uh
from unet_helpers.inference import batch as one

NAME = "small"


def draw(path, seed=0, shape=(24, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, shape, np.uint8)).save(path)


@pytest.fixture
def network(tmp_path):
    """The path of a small network's file."""
    path = tmp_path / "weights" / "small.safetensors"
    path.parent.mkdir()
    uh.save_model(make_network(), path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Six images in three folders, two with the same name, and two with names that differ in their endings."""
    for i, name in enumerate(
        ["x.png", "A1/dapi.png", "A2/dapi.png", "A2/deep/y.png", "a.png", "a.bmp"]
    ):
        draw(tmp_path / "in" / name, i)
    (tmp_path / "in" / "readme.txt").write_text("not an image")
    (tmp_path / "in" / ".hidden.png").write_text("hidden")
    return tmp_path / "in"


def markers(out):
    return sorted(str(p.relative_to(out)) for p in out.rglob("*.json"))


def test_every_image_of_all_folders_has_its_own_result(folder, network, tmp_path):
    out = tmp_path / "out"
    table = uh.segment_folder(folder, network, out, progress=False)
    expected = [
        "A1/dapi_small.json",
        "A2/dapi_small.json",
        "A2/deep/y_small.json",
        "a.bmp/a_small.json",
        "a.png/a_small.json",
        "x_small.json",
    ]
    assert markers(out) == expected
    assert table.status.value_counts().to_dict() == {"saved": 6, "left out": 1}
    for row in table[table.status == "saved"].itertuples():
        answer = uh.segment(row.input, network, progress=False)
        saved = np.asarray(Image.open(row.result.replace(".json", "_labels.png")))
        np.testing.assert_array_equal(saved, answer.labels)
        assert row.objects == answer.objects.max()
    on_disk = pd.read_csv(out / "summary.csv")
    assert sorted(on_disk.result) == sorted(table.result)
    on_disk.error = on_disk.error.fillna("")
    assert "looks like text" in on_disk.set_index("status").error["left out"]


def test_files_of_equal_names_are_both_kept(folder, network, tmp_path):
    out = tmp_path / "out"
    paths = [
        folder / "A1/dapi.png",
        folder / "A2/dapi.png",
        folder / "a.png",
        folder / "a.bmp",
        folder / "x.png",
    ]
    uh.segment_folder([*paths, paths[0]], network, out, overwrite=True, progress=False)
    assert markers(out) == [
        "A1/dapi.png/dapi_small.json",
        "A2/dapi.png/dapi_small.json",
        "a.bmp/a_small.json",
        "a.png/a_small.json",
        "x_small.json",
    ]


def test_a_second_call_does_only_what_is_missing_or_has_changed(
    folder, network, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    first = uh.segment_folder(folder, network, out, progress=False)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*_small*")}
    monkeypatch.setattr(
        "unet_helpers.inference.prediction.predict", lambda *_, **__: pytest.fail("done again")
    )
    again = uh.segment_folder(folder, network, out, progress=False)
    assert set(again.status) == {"done before", "left out"}
    assert {p: p.stat().st_mtime_ns for p in before} == before
    columns = ["input", "objects", "result"]
    pd.testing.assert_frame_equal(
        *(t[columns].dropna().sort_values("input", ignore_index=True) for t in (first, again)),
        check_dtype=False,
    )
    monkeypatch.undo()
    (out / "A1/dapi_small.json").unlink()  # as when a save was broken off before its last file
    draw(folder / "new.png", 9)
    status = uh.segment_folder(folder, network, out, progress=False).set_index("input").status
    assert sorted(os.path.basename(p) for p in status[status == "saved"].index) == [
        "dapi.png",
        "new.png",
    ]


@pytest.mark.parametrize("change", ["file", "threshold", "weights", "foreign"])
def test_a_result_made_otherwise_is_refused_before_anything_is_computed(
    change, folder, network, tmp_path, monkeypatch
):
    out, options = tmp_path / "out", {}
    uh.segment_folder(folder / "x.png", network, out, progress=False)
    if change == "file":
        draw(folder / "x.png", 77)
    elif change == "threshold":
        options = {"threshold": 0.3}
    elif change == "weights":
        other = make_network()
        other.conv.bias.data += 1
        uh.save_model(other, network)
    else:
        uh.segment(folder / "x.png", network, progress=False).save(out, overwrite=True)
    monkeypatch.setattr(
        "unet_helpers.inference.prediction.predict", lambda *_, **__: pytest.fail("computed")
    )
    table = uh.segment_folder(folder / "x.png", network, out, progress=False, **options)
    assert list(table.status) == ["failed"]
    assert "--overwrite" in table.error[0]
    assert "x_small.json" in table.error[0]
    monkeypatch.undo()
    table = uh.segment_folder(
        folder / "x.png", network, out, overwrite=True, progress=False, **options
    )
    assert list(table.status) == ["saved"]


@pytest.mark.parametrize("torn", ["", '{"asked": {"wei', "[1, 2]", "7"])
def test_a_manifest_that_is_cut_off_is_named_and_kept(torn, folder, network, tmp_path):
    uh.segment_folder(folder, network, tmp_path / "out", progress=False)
    manifest = tmp_path / "out/x_small.json"
    manifest.write_text(torn)
    table = uh.segment_folder(folder, network, tmp_path / "out", progress=False).set_index("input")
    row = table.loc[str(folder / "x.png")]
    assert row.status == "failed"
    assert "x_small.json, made from another file" in row.error
    assert "--overwrite" in row.error
    assert manifest.read_text() == torn
    assert (table.status == "done before").sum() == 5


def test_results_of_another_network_with_a_longer_name_are_no_results_of_this_one(
    folder, network, tmp_path
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x_small_he.json").write_text("{}")
    table = uh.segment_folder(folder / "x.png", network, tmp_path / "out", progress=False)
    assert list(table.status) == ["saved"]


def test_failures_are_told_and_end_nothing(folder, network, tmp_path):
    (folder / "broken.png").write_bytes((folder / "x.png").read_bytes()[:60])
    table = uh.segment_folder(
        [folder, folder / "missing.png"], network, tmp_path / "out", progress=False
    )
    rows = pd.read_csv(tmp_path / "out/summary.csv").set_index("input")
    failed = rows[rows.status == "failed"]
    assert sorted(os.path.basename(p) for p in failed.index) == ["broken.png", "missing.png"]
    assert (table.status == "saved").sum() == 6
    assert failed.error.str.contains("png").all()


def test_patterns_and_dicom_series_mixed_with_pictures(folder, network, tmp_path):
    named("dicom series").write(folder / "scan")
    draw(folder / "scan" / "key.png")
    table = uh.segment_folder(str(folder / "sc*"), network, tmp_path / "a", progress=False)
    assert {
        (row.status, row.series, os.path.basename(row.input)) for row in table.itertuples()
    } == {("saved", "1.2.3", "scan"), ("saved", "", "key.png"), ("left out", "", "readme.txt")}
    assert json.loads((tmp_path / "a/scan_small.json").read_text())["shape"] == [6, 24, 31]
    with pytest.raises(uh.ImageError, match="pattern"):
        uh.segment_folder(str(folder / "*.jpeg"), network, tmp_path / "b")


def test_results_inside_the_source_are_not_segmented(folder, network):
    uh.segment_folder(folder, network, folder / "results", progress=False)
    again = uh.segment_folder(folder, network, folder / "results", progress=False)
    assert len(again) == 7
    assert set(again.status) == {"done before", "left out"}
    with pytest.raises(uh.SaveError, match="another folder"):
        uh.segment_folder(folder, network, folder, progress=False)


def test_another_programs_summary_is_not_replaced(folder, network, tmp_path):
    (tmp_path / "summary.csv").write_text("theirs\n1\n")
    with pytest.raises(uh.SaveError, match="another program"):
        uh.segment_folder(folder, network, tmp_path, progress=False)
    assert (tmp_path / "summary.csv").read_text() == "theirs\n1\n"
    assert not list(tmp_path.glob("*.json"))


def test_wrong_settings_are_named_before_anything_is_computed(folder, network, tmp_path):
    for options in ({"threshold": 2}, {"chanel": 1}, {"flips": 3}):
        with pytest.raises(uh.ArgumentError):
            uh.segment_folder(folder, network, tmp_path / "out", **options)
    with pytest.raises(uh.ModelError, match="Did you mean nuclei"):
        uh.segment_folder(folder, "nucleii", tmp_path / "out")
    with pytest.raises(uh.ImageError, match="segment_many"):
        uh.segment_folder(np.zeros((9, 9)), network, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "kind", [ThreadPoolExecutor, pytest.param(ProcessPoolExecutor, marks=pytest.mark.slow)]
)
def test_any_executor_gives_the_same_files(kind, folder, network, tmp_path):
    import multiprocessing

    uh.segment_folder(folder, network, tmp_path / "one", progress=False)
    context = (
        {"mp_context": multiprocessing.get_context("spawn")} if kind is ProcessPoolExecutor else {}
    )
    with kind(2, **context) as executor:
        table = uh.segment_folder(folder, network, tmp_path / "many", executor, progress=False)
    assert (table.status == "saved").sum() == 6
    assert markers(tmp_path / "many") == markers(tmp_path / "one")
    for path in (tmp_path / "one").rglob("*_labels.png"):
        assert (
            path.read_bytes()
            == (tmp_path / "many" / path.relative_to(tmp_path / "one")).read_bytes()
        )


def test_weights_are_loaded_once_in_a_process(folder, network, tmp_path, monkeypatch):
    loads = []
    monkeypatch.setattr(
        one, "load_model", lambda *a, **k: loads.append(a) or uh.load_model(*a, **k)
    )
    with ThreadPoolExecutor(1) as executor:
        uh.segment_folder(folder, network, tmp_path / "out", executor, progress=False)
    assert len(loads) == 2  # to look at it before anything is computed, and by the worker


class Dying(ThreadPoolExecutor):
    """Does ``good`` pieces of work, and then ends as a broken pool or a lost scheduler does."""

    def __init__(self, good, error):
        super().__init__(1)
        self.left, self.error = good, error

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
    kept, rows = markers(out), pd.read_csv(out / "summary.csv")
    assert (rows.status == "not done").sum() >= 4
    assert len(rows) == 7
    assert 2 <= len(kept) <= 3
    table = uh.segment_folder(folder, network, out, progress=False)
    assert table.status.isin(["saved", "done before", "left out"]).all()
    assert len(markers(out)) == 6
    assert (table.status == "done before").sum() == len(kept)


def test_an_executor_that_falls_silent_is_noticed(folder, network, tmp_path, monkeypatch):
    """As Dask's does: the futures of a client that lost its scheduler never end, and it takes no more work."""
    monkeypatch.setattr("unet_helpers.inference.batch.SILENCE", 0.2)
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
            work.keywords["asked"]["weights"] = "0" * 64
            return super().submit(work, job)

    with Elsewhere(1) as executor:
        table = uh.segment_folder(
            folder / "x.png", network, tmp_path / "out", executor, progress=False
        )
    assert "not the weights" in table.error[0]


def test_threads_that_run_at_once_write_whole_files(folder, network, tmp_path):
    barrier = threading.Barrier(2, timeout=60)
    for i in range(8):
        draw(folder / f"many/{i}.png", i)
    with ThreadPoolExecutor(2, initializer=barrier.wait) as executor:
        uh.segment_folder(folder, network, tmp_path / "out", executor, progress=False)
    found = [json.loads(p.read_text()) for p in (tmp_path / "out").rglob("*.json")]
    assert len(found) == 14
    assert all(record["asked"]["weights"] == record["weights_sha256"] for record in found)
