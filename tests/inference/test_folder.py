"""``segment_folder``: every image once, each saved as it comes, nothing lost or replaced.

Work that stopped goes on.
"""

import json
import os
from concurrent.futures import (
    ThreadPoolExecutor,
)

import numpy as np
import pandas as pd
import pytest
from helpers.files import named
from helpers.folders import draw, manifests_in, write_images, write_network
from helpers.networks import make_network
from PIL import Image

import unet_helpers as uh
from unet_helpers.inference import batch
from unet_helpers.inference.folder_job import Row
from unet_helpers.inference.sources import Source


@pytest.fixture
def network(tmp_path):
    """The path of a small network's file."""
    return write_network(tmp_path)


@pytest.fixture
def folder(tmp_path):
    """Six images in three folders, and two files that are none."""
    return write_images(tmp_path)


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
    assert manifests_in(out) == expected
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
    assert manifests_in(out) == [
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
        "unet_helpers.inference.stack_prediction.predict",
        lambda *_, **__: pytest.fail("done again"),
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


@pytest.mark.parametrize("change", ["file", "threshold", "weights"])
def test_a_result_made_otherwise_is_refused_before_anything_is_computed(
    change, folder, network, tmp_path, monkeypatch
):
    out, options = tmp_path / "out", {}
    uh.segment_folder(folder / "x.png", network, out, progress=False)
    if change == "file":
        draw(folder / "x.png", 77)
    elif change == "threshold":
        options = {"threshold": 0.3}
    else:
        other = make_network()
        other.conv.bias.data += 1
        uh.save_model(other, network)
    monkeypatch.setattr(
        "unet_helpers.inference.stack_prediction.predict", lambda *_, **__: pytest.fail("computed")
    )
    table = uh.segment_folder(folder / "x.png", network, out, progress=False, **options)
    assert list(table.status) == ["failed"]
    assert "overwrite=True" in table.error[0]
    assert "x_small.json" in table.error[0]
    monkeypatch.undo()
    table = uh.segment_folder(
        folder / "x.png", network, out, overwrite=True, progress=False, **options
    )
    assert list(table.status) == ["saved"]


def test_a_result_that_was_saved_by_hand_is_known(folder, network, tmp_path, monkeypatch):
    result = uh.segment(folder / "x.png", network, progress=False)
    result.save(tmp_path / "out")
    read_before = uh.segment(uh.read_image(folder / "A1/dapi.png"), network, progress=False)
    read_before.save(tmp_path / "out")
    monkeypatch.setattr(
        "unet_helpers.inference.stack_prediction.predict", lambda *_, **__: pytest.fail("computed")
    )
    images = [folder / "x.png", folder / "A1/dapi.png"]
    table = uh.segment_folder(images, network, tmp_path / "out", progress=False)
    assert list(table.status) == ["done before", "failed"]
    assert table.objects[0] == result.objects.max()
    # How an image in memory was read is not known, so it may be another channel.
    assert "the pixels, or the options with which they were read" in table.error[1]


@pytest.mark.parametrize("torn", ["", '{"asked": {"wei', "[1, 2]", "7"])
def test_a_manifest_that_is_cut_off_is_named_and_kept(torn, folder, network, tmp_path):
    uh.segment_folder(folder, network, tmp_path / "out", progress=False)
    manifest = tmp_path / "out/x_small.json"
    manifest.write_text(torn)
    table = uh.segment_folder(folder, network, tmp_path / "out", progress=False).set_index("input")
    row = table.loc[str(folder / "x.png")]
    assert row.status == "failed"
    assert "x_small.json, made from another file" in row.error
    assert "overwrite=True" in row.error
    assert manifest.read_text() == torn
    assert (table.status == "done before").sum() == 5


def test_results_of_another_network_with_a_longer_name_are_no_results_of_this_one(
    folder, network, tmp_path
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x_small_he.json").write_text("{}")
    table = uh.segment_folder(folder / "x.png", network, tmp_path / "out", progress=False)
    assert list(table.status) == ["saved"]


@pytest.mark.parametrize("ending", [".mgh", ".nhdr", ".nii.gz", ".czi", ".PNG"])
def test_a_file_whose_name_promises_an_image_fails(ending, network, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / f"a{ending}").write_bytes(b"nothing")
    table = uh.segment_folder(tmp_path / "in", network, tmp_path / "out", progress=False)
    assert list(table["status"]) == ["failed"]


def test_another_file_is_left_out_of_a_folder_but_fails_where_it_is_named(network, tmp_path):
    path = tmp_path / "in/a.xyz"
    path.parent.mkdir()
    path.write_bytes(b"nothing")
    table = uh.segment_folder(path.parent, network, tmp_path / "out", progress=False)
    assert list(table["status"]) == ["left out"]
    table = uh.segment_folder(path, network, tmp_path / "out", progress=False)
    assert list(table["status"]) == ["failed"]


def test_a_series_that_cannot_be_read_fails_although_its_folder_promises_no_image(tmp_path):
    source = Source(tmp_path / "scan", base=tmp_path, options={"series": "1.2.3"})
    row = batch.row_of_error(source, uh.ImageError("damaged"))
    assert row.status == "failed"
    assert row.error == "damaged"


def test_an_error_that_was_not_foreseen_is_a_failure_of_its_image(
    folder, network, tmp_path, monkeypatch
):
    def broken(*arguments, **options):
        raise ZeroDivisionError("by hand")

    monkeypatch.setattr("unet_helpers.inference.sources.segment", broken)
    table = uh.segment_folder(folder / "x.png", network, tmp_path / "out", progress=False)
    assert list(table["status"]) == ["failed"]
    assert table["error"][0] == f"{folder / 'x.png'}: ZeroDivisionError: by hand"


def test_a_tilde_is_the_home_folder(folder, network, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    model = f"~/{network.relative_to(tmp_path)}"
    with ThreadPoolExecutor(1) as executor:
        table = uh.segment_folder("~/in/x.png", model, "~/out", executor, progress=False)
    assert list(table["result"]) == [str(tmp_path / "out/x_small.json")]
    assert (tmp_path / "out/x_small.json").is_file()


def test_a_network_that_is_in_no_file_is_not_taken_for_the_same_again(folder, tmp_path):
    network = make_network()
    uh.segment_folder(folder / "x.png", network, tmp_path / "out", progress=False)
    again = uh.segment_folder(folder / "x.png", network, tmp_path / "out", progress=False)
    assert list(again["status"]) == ["failed"]


def test_a_file_is_no_folder_for_results(folder, network, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(uh.SaveError, match="a file, or the folder of the images"):
        uh.segment_folder(folder, network, tmp_path / "out")


def test_what_happened_is_said_where_progress_is_shown(folder, network, tmp_path, capsys):
    uh.segment_folder(folder / "x.png", network, tmp_path / "out")
    capsys.readouterr()
    (folder / "broken.png").write_bytes(b"nothing")
    uh.segment_folder([folder / "x.png", folder / "broken.png"], network, tmp_path / "out")
    said = capsys.readouterr().err
    result = f"{tmp_path / 'out'} already holds x_small.json; overwrite=True does it again"
    assert f"done before: {folder / 'x.png'}: {result}\n" in said
    assert f"error: {folder / 'broken.png'}: " in said


@pytest.mark.parametrize(
    ("has_told", "expected"), [(True, ["why"]), (False, ["first | second", "careful", "why"])]
)
def test_notes_and_warnings_are_said_once(has_told, expected):
    manifest = {"notes": ["first", "second"], "warnings": ["careful"], "explanation": ["why"]}
    said = []
    row = Row(Source("a.png"), "saved", manifest=manifest)
    batch.tell_outcome(row, said.append, has_told=has_told)
    assert said == [f"a.png: {words}" for words in expected]


def test_nothing_is_said_where_no_progress_is_shown(folder, network, tmp_path, capsys):
    uh.segment_folder(folder, network, tmp_path / "out", progress=False)
    assert capsys.readouterr() == ("", "")


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
    with pytest.raises(uh.ModelError, match="Did you mean 'nuclei'"):
        uh.segment_folder(folder, "nucleii", tmp_path / "out")
    with pytest.raises(uh.ImageError, match="segment_many"):
        uh.segment_folder(np.zeros((9, 9)), network, tmp_path / "out")
    assert not (tmp_path / "out").exists()
