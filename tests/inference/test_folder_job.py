"""The work of ``segment_folder`` for one image, and its row of the summary."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.inference.folder_job import (
    FolderJob,
    Row,
    earlier_row,
    load_once,
    read_manifest,
)
from unet_helpers.inference.sources import Source
from unet_helpers.networks.load import sha256_of

ASKED = {"weights": "abc", "threshold": 0.4}


@pytest.fixture
def source(tmp_path):
    """An image and the place of its result."""
    image = tmp_path / "a.png"
    image.write_bytes(b"pixels")
    return Source(image, result=tmp_path / "a_card.json")


def write_manifest(source: Source, **changes) -> None:
    """The manifest of a result that was made as asked from the source as it is, but for changes."""
    manifest = {"asked": ASKED, "input_sha256": sha256_of(source.image)}
    source.result.write_text(json.dumps({**manifest, **changes}))


def test_a_row_begins_with_the_image_and_ends_with_its_result():
    manifest = {
        "summary": {"objects": [7, ""], "mean area": [2.5, "mm2"]},
        "notes": ["first", "", "second"],
        "warnings": ["careful"],
        "explanation": [""],
    }
    source = Source(Path("/in/scan"), options={"series": "1.2"}, result=Path("/out/a.json"))
    columns = Row(source, "saved", manifest=manifest).columns()
    assert list(columns.items()) == [
        ("input", str(Path("/in/scan"))),
        ("series", "1.2"),
        ("status", "saved"),
        ("objects", 7),
        ("mean area (mm2)", 2.5),
        ("assessment", ""),
        ("notes", "first | second"),
        ("warnings", "careful"),
        ("explanation", ""),
        ("error", ""),
        ("result", str(Path("/out/a.json"))),
    ]


def test_the_row_of_a_failure_has_its_error_alone():
    columns = Row(Source(Path("/in/a.png")), "failed", error="damaged").columns()
    assert columns["error"] == "damaged"
    assert columns["series"] == columns["notes"] == columns["warnings"] == ""


def test_without_a_manifest_there_is_no_earlier_result(source):
    assert earlier_row(source, ASKED) is None


def test_a_result_made_as_asked_is_done(source):
    write_manifest(source, notes=["said"])
    row = earlier_row(source, ASKED)
    assert row.status == "done before"
    assert row.texts("notes") == "said"


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({"asked": {**ASKED, "threshold": 0.5}}, "with other settings (threshold 0.5, now 0.4)"),
        ({"asked": {**ASKED, "channel": 2}}, "with other settings (channel 2, now not given)"),
        ({"asked": {**ASKED, "weights": "d"}}, "with other settings (the weights)"),
        ({"input_sha256": "0" * 64}, "from another file"),
        ({"asked": None}, "from another file or with other settings"),
    ],
)
def test_a_result_made_otherwise_is_refused_and_the_difference_named(changes, how, source):
    write_manifest(source, **changes)
    row = earlier_row(source, ASKED)
    assert row.status == "failed"
    assert row.error == (
        f"{source.image}: {source.result.parent} already holds a_card.json, made {how}: "
        "overwrite=True replaces it."
    )


def test_a_folder_of_slices_is_known_by_its_name(source, tmp_path):
    write_manifest(source, input_sha256="of its pixels")
    folder = Source(tmp_path, result=source.result)
    assert earlier_row(folder, ASKED).status == "done before"


@pytest.mark.parametrize("torn", ["", '{"asked": {"wei', "[1, 2]", "7"])
def test_a_manifest_that_is_cut_off_is_empty(torn, tmp_path):
    (tmp_path / "a.json").write_text(torn)
    assert read_manifest(tmp_path / "a.json") == {}


def test_a_network_with_other_weights_is_refused(tmp_path):
    path = tmp_path / "small.safetensors"
    uh.save_model(make_network(), path)
    weights = uh.load_model(path).weights_sha256
    assert load_once(path, weights).weights_sha256 == weights
    with pytest.raises(uh.ModelError, match="not the weights with which the work was sent"):
        load_once(path, "0" * 64)


def test_a_network_in_memory_is_taken_as_it_is():
    network = make_network()
    assert load_once(network, "anything") is network


def test_a_network_is_loaded_once():
    card = uh.MODELS["lungs"]
    first = load_once("lungs", card.sha256)
    assert load_once("lungs", card.sha256) is first


def test_an_image_is_saved_with_what_was_asked(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(20, dtype=np.uint8))
    source = Source(tmp_path / "a.npy", result=tmp_path / "out/a_small.json")
    job = FolderJob(make_network(), options={"flips": 2}, asked={"weights": "x"}, overwrite=False)
    row = job.run(source)
    assert row.status == "saved"
    assert row.manifest["asked"] == {"weights": "x"}
    assert row.manifest["flips"] == 2
    assert row.manifest == json.loads(source.result.read_text("utf-8"))
