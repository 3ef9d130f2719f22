"""Which images a source holds, and where the result of each belongs."""

from pathlib import Path

import numpy as np
import pytest
from helpers.files import named
from PIL import Image

import unet_helpers as uh
from unet_helpers.images.formats import FORMATS
from unet_helpers.inference.sources import Source, assign_result_paths, find_images


@pytest.fixture
def folder(tmp_path):
    """Images in a folder and a sub-folder, and hidden files beside them."""
    for name in ("b.png", "a.png", "sub/c.png", ".hidden.png", ".cache/d.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 5), np.uint8)).save(path)
    return tmp_path / "in"


def names_of(sources: list[Source]) -> list[str]:
    """The names of files, in the order in which they were found."""
    return [source.image.name for source in sources]


def test_a_folder_holds_its_files_and_those_of_its_folders_but_no_hidden_ones(folder):
    sources = find_images(folder)
    assert names_of(sources) == ["a.png", "b.png", "c.png"]
    assert {source.base for source in sources} == {folder}


def test_a_file_or_an_array_is_one_image_whatever_it_is(folder):
    array = np.zeros((4, 5))
    image = uh.MedicalImage(array, "YX")
    picture = Image.fromarray(array.astype(np.uint8))
    for single in (array, image, picture):
        (source,) = find_images(single)
        assert source.image is single
    (source,) = find_images(str(folder / "a.png"))
    assert source.image == folder / "a.png"
    assert source.base is None


def test_a_file_that_is_missing_is_left_to_the_reader():
    (source,) = find_images("missing.png")
    assert source.image == Path.cwd() / "missing.png"


def test_a_list_holds_what_each_of_its_items_holds(folder):
    array = np.zeros((4, 5))
    sources = find_images([folder / "b.png", array, [str(folder / "sub")]])
    assert sources[1].image is array
    assert names_of([sources[0], sources[2]]) == ["b.png", "c.png"]


def test_a_tilde_is_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    (source,) = find_images("~/a.png")
    assert source.image == folder / "a.png"


def test_a_pattern_holds_what_fits_it_and_begins_where_it_has_no_wildcards(folder):
    sources = find_images(str(folder / "*.png"))
    assert names_of(sources) == ["a.png", "b.png"]
    assert {source.base for source in sources} == {folder}
    assert names_of(find_images(str(folder / "**/*.png"))) == ["a.png", "b.png", "c.png"]
    assert names_of(find_images(str(folder / "s?b"))) == ["c.png"]
    assert names_of(find_images(str(folder / "[b-z]*.png"))) == ["b.png"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder):
    path = folder / "scan[1].png"
    (folder / "a.png").rename(path)
    (source,) = find_images(path)
    assert source.image == path


def test_a_pattern_that_nothing_fits_is_an_error(folder):
    with pytest.raises(uh.ImageError, match="no file fits this pattern"):
        find_images(str(folder / "*.jpeg"))


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_path_is_not_the_current_folder(folder, empty, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(uh.ImageError, match="the path is empty"):
        find_images(empty)


def test_the_slices_of_a_dicom_series_are_one_image(folder):
    named("dicom series").write(folder / "series")
    (series,) = [source for source in find_images(folder) if source.options]
    assert series.image == folder / "series"
    assert series.options == {"series": "1.2.3"}


def test_whole_folders_are_left_to_the_reader(folder):
    (source,) = find_images(folder, whole_folders=True)
    assert source.image == folder
    assert not source.options


def test_a_folder_of_results_in_the_source_is_skipped(folder):
    assert names_of(find_images(folder, skip=folder / "sub")) == ["a.png", "b.png"]
    # But not where it is the source itself.
    assert names_of(find_images(folder / "sub", skip=folder / "sub")) == ["c.png"]


def test_of_a_header_and_its_image_the_image_counts(folder):
    for name in ("pair.hdr", "pair.img", "alone.hdr"):
        (folder / "sub" / name).write_bytes(b"0")
    assert names_of(find_images(folder / "sub")) == ["alone.hdr", "c.png", "pair.img"]


ALL_ENDINGS = sorted({ending for row in FORMATS for ending in row.endings})


@pytest.mark.parametrize("ending", ALL_ENDINGS)
def test_files_of_all_formats_are_found_in_a_folder(ending, tmp_path):
    (tmp_path / f"a{ending}").write_bytes(b"0")
    assert names_of(find_images(tmp_path)) == [f"a{ending}"]


def test_results_mirror_the_folders_of_the_source(folder, tmp_path):
    placed = assign_result_paths(find_images(folder), tmp_path / "out", "card")
    assert [source.result.relative_to(tmp_path / "out") for source in placed] == [
        Path("a_card.json"),
        Path("b_card.json"),
        Path("sub/c_card.json"),
    ]


def test_an_image_that_is_found_twice_has_one_result(folder, tmp_path):
    placed = assign_result_paths(
        find_images([folder / "a.png", folder / "a.png"]), tmp_path, "card"
    )
    assert [source.result for source in placed] == [tmp_path / "a_card.json"]


def results_of(paths: list[str]) -> list[str]:
    """The results, in /out, of images that were named one by one."""
    placed = assign_result_paths([Source(Path(path)) for path in paths], Path("/out"), "card")
    return [source.result.relative_to("/out").as_posix() for source in placed]


def test_images_of_equal_names_have_folders_of_their_own():
    assert results_of(["/in/A1/dapi.tif", "/in/A2/dapi.tif", "/in/x.tif"]) == [
        "A1/dapi.tif/dapi_card.json",
        "A2/dapi.tif/dapi_card.json",
        "x_card.json",
    ]


def test_names_that_differ_in_their_endings_or_capitals_are_equal():
    assert results_of(["/in/a.png", "/in/a.bmp", "/in/A.tif"]) == [
        "a.png/a_card.json",
        "a.bmp/a_card.json",
        "A.tif/A_card.json",
    ]


def test_series_of_one_folder_have_folders_of_their_own():
    sources = [
        Source(Path("/in/scan"), Path("/in"), {"series": "1.2"}),
        Source(Path("/in/scan"), Path("/in"), {"series": "1.3"}),
    ]
    assert [
        source.result.as_posix() for source in assign_result_paths(sources, Path("/out"), "card")
    ] == [
        "/out/scan/1.2/scan_card.json",
        "/out/scan/1.3/scan_card.json",
    ]


def test_a_series_that_is_the_source_has_its_result_at_the_top():
    source = Source(Path("/in"), Path("/in"), {"series": "1.2"})
    (placed,) = assign_result_paths([source], Path("/out"), "card")
    assert placed.result == Path("/out/in_card.json")


def test_what_is_no_file_has_no_name_for_its_result(tmp_path):
    with pytest.raises(uh.ImageError, match=r"ndarray: only files have names.*segment_many"):
        assign_result_paths([Source(np.zeros((4, 5)))], tmp_path, "card")
