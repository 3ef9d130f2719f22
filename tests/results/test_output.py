"""Where results are written: ``~``, nothing overwritten unasked, all files or none."""

from pathlib import Path

import numpy as np
import pytest
from helpers.results import result_of_mask

import unet_helpers as uh
from unet_helpers.errors import SaveError
from unet_helpers.results.output import made_aside, manifest_last


@pytest.fixture
def result():
    return result_of_mask(np.eye(8, dtype=bool))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder; the work goes on in another one."""
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(work)
    return home


def test_a_tilde_is_the_home_in_every_path_that_is_written(result, home):
    assert result.report("~/x.html") == home / "x.html"
    assert result.export("~/x.geojson") == home / "x.geojson"
    assert result.save("~/saved")["manifest"].parent == home / "saved"
    assert uh.report_index("~") == home / "index.html"
    assert {path.name for path in home.iterdir()} == {
        "index.html",
        "saved",
        "x.geojson",
        "x.html",
    }
    assert list(Path.cwd().iterdir()) == []


def test_folders_are_made_where_they_are_not_there(result, tmp_path):
    path = result.export(tmp_path / "a/b/x.csv")
    assert path.exists()


def test_files_move_together_and_the_manifest_last(tmp_path, monkeypatch):
    moved = []
    replace = Path.replace

    def recording(self: Path, target: Path) -> Path:
        moved.append(self.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", recording)
    folder = tmp_path / "out"
    with made_aside(folder / "a.json", folder, overwrite=False) as aside:
        for name in ("c.png", "a.json", "b.geojson"):
            (aside / name).write_text(name)
        assert [path.name for path in folder.iterdir()] == [aside.name]
    assert moved == ["b.geojson", "c.png", "a.json"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "b.geojson", "c.png"]


def test_manifests_are_behind_all_others(tmp_path):
    for name in ("a.json", "b.json", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in manifest_last(tmp_path)] == ["c.txt", "a.json", "b.json"]


def test_an_existing_target_is_refused_before_the_block_begins(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("mine")
    with (
        pytest.raises(SaveError, match=r"a\.txt exists already: pass overwrite=True"),
        made_aside(target, tmp_path, overwrite=False),
    ):
        pytest.fail("began")
    assert target.read_text() == "mine"

    with made_aside(target, tmp_path, overwrite=True) as aside:
        (aside / "a.txt").write_text("new")
    assert target.read_text() == "new"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError("full"), r"nothing was saved \(full\). Is the disk full or protected\?"),
        (ModuleNotFoundError(name="slicerio"), "one more package: pip install slicerio"),
    ],
)
def test_what_fails_on_the_way_leaves_nothing_and_says_why(tmp_path, error, words):
    folder = tmp_path / "out"

    def fail_on_the_way() -> None:
        with made_aside(folder / "a.txt", folder, overwrite=False) as aside:
            (aside / "a.txt").touch()
            raise error

    with pytest.raises(SaveError, match=words):
        fail_on_the_way()
    assert list(folder.iterdir()) == []
