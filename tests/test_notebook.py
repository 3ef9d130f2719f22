"""The committed notebook: executed, short cells, small, and its text says what its cells show.

The numbers are read from the stored outputs. That a new run gives the same ones is checked by nbval
(see the README's command for the tests), for all cells that are not tagged to be ignored.
"""

import ast
import json
import re

import numpy as np
import pandas as pd
import pytest
from helpers.places import ROOT

import unet_helpers as uh
from unet_helpers.version import HOME

CALIBRATION = ["Mean probability", "Share that is true", "Pixels"]

NOTEBOOK = ROOT / "Medical_Image_Segmentation.ipynb"
ALL_CELLS = {cell["id"]: cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]}
CODE_CELLS = {name: cell for name, cell in ALL_CELLS.items() if cell["cell_type"] == "code"}
TEXT = "\n".join(
    "".join(cell["source"]) for cell in ALL_CELLS.values() if cell["cell_type"] == "markdown"
)


def source_of(cell: str) -> str:
    return "".join(ALL_CELLS[cell]["source"])


def printed(cell: str) -> str:
    """What a code cell printed."""
    outputs = CODE_CELLS[cell]["outputs"]
    return "".join("".join(o["text"]) for o in outputs if o["output_type"] == "stream")


def numbers(cell: str) -> list[float]:
    """All numbers that a code cell printed, in their order; '20%' is 20, '32,000' is 32000."""
    return [float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?:\.\d+)?", printed(cell))]


def table(cell: str, columns: list[str]) -> pd.DataFrame:
    """The table of numbers that a code cell shows; ``columns`` are the names of the first ones."""
    (output,) = CODE_CELLS[cell]["outputs"]
    rows = {}
    for line in "".join(output["data"]["text/plain"]).splitlines():
        match = re.fullmatch(r"(\S.*?)((?:\s+\d+(?:\.\d+)?)+)", line)
        if match:
            rows[match[1]] = [float(value) for value in match[2].split()[: len(columns)]]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def figure_text(cell: str) -> str:
    """The titles of a code cell's figure, which screen readers read out."""
    (output,) = CODE_CELLS[cell]["outputs"]
    return output["metadata"]["image/jpeg"]["alt"]


# how it was executed


@pytest.mark.parametrize("cell", CODE_CELLS)
def test_every_cell_was_executed_without_error(cell):
    assert CODE_CELLS[cell]["execution_count"] is not None
    assert not [o for o in CODE_CELLS[cell]["outputs"] if o["output_type"] == "error"]


def test_cells_ran_in_order_from_a_fresh_kernel():
    counts = [cell["execution_count"] for cell in CODE_CELLS.values()]
    assert counts == list(range(1, len(counts) + 1))


def test_it_ran_with_the_samples_of_the_package_alone():
    """Downloaded samples have other licences; none of their pictures may lie in this file."""
    assert "5 sample images at hand" in printed("cell-03")


def test_it_is_small_enough_to_be_cloned():
    assert NOTEBOOK.stat().st_size < 3_000_000


# how its cells read


@pytest.mark.parametrize("cell", CODE_CELLS)
def test_a_cell_has_ten_lines_at_most(cell):
    assert len(source_of(cell).splitlines()) <= 10


@pytest.mark.parametrize("cell", CODE_CELLS)
def test_a_cell_holds_the_lesson_and_no_machinery(cell):
    code = re.sub(r"^(\s*)%.*$", r"\1pass", source_of(cell), flags=re.M)
    machinery = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.Assert, ast.NamedExpr)
    assert not [node for node in ast.walk(ast.parse(code)) if isinstance(node, machinery)]
    assert "get_title" not in code


def test_the_setup_cell_has_five_lines_of_code():
    lines = source_of("cell-02").splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == 5


def test_the_setup_cell_installs_from_the_home_of_the_package():
    assert f"%pip install -q git+https://github.com/{HOME}\n" in source_of("cell-02")


# what its text says is what its cells show


def test_the_mask_shrinks_as_the_threshold_rises():
    thresholds = numbers("cell-11")[0::2]
    shares = numbers("cell-11")[1::2]
    assert thresholds == [0.2, 0.6, 0.9]
    assert shares[0] > shares[1] > shares[2]


def test_the_network_has_under_two_million_numbers_and_the_papers_31():
    here, paper = (float(n) for n in re.findall(r"([\d.]+) million", printed("cell-17")))
    assert "under two million" in TEXT
    assert 1.8 < here < 2
    assert "about 31 million" in TEXT
    assert 30.5 < paper < 31.5


def test_a_network_has_four_megabytes_on_disk():
    (size,) = {path.stat().st_size // 10**6 for path in ROOT.glob("unet_helpers/weights/nuclei.*s")}
    assert "four megabytes on disk" in TEXT
    assert size in (3, 4)


def test_the_vessels_have_the_size_that_the_answers_to_the_exercises_give():
    share, length, width = numbers("cell-25")
    assert share == 13
    assert length == 32_000
    assert width == 7
    assert "the length falls from 32,100" in TEXT.lower()
    assert "(12.9 %" in TEXT
    assert "instead of 6.8 px" in TEXT


def test_about_120_of_125_nuclei_are_found():
    found, drawn = numbers("cell-30")[:2]
    assert found == 120
    assert drawn == 125


def test_most_nuclei_have_300_to_700_pixels_none_is_a_speck_and_one_is_double():
    percent, _, _, specks, limit, doubled = numbers("cell-30")[2:]
    assert "Most nuclei have 300 to 700 pixels, and none is a speck of less than 30" in TEXT
    assert percent > 70
    assert (specks, limit) == (0, 30)
    assert "The one on the far right has more than twice the median" in TEXT
    assert doubled == 1


def test_more_than_a_third_of_the_objects_in_the_dyed_tissue_are_specks():
    (specks,) = re.findall(r"(\d+)% of the objects", printed("cell-35"))
    assert "more than a third of all the objects are specks of less than 30 pixels" in TEXT
    assert 34 <= int(specks) < 45


def test_in_the_gland_almost_no_nucleus_is_found():
    picture, gland = re.findall(r"([\d.]+)%", printed("cell-35"))[1:]
    assert "In the gland at the lower left almost none is" in TEXT
    assert float(gland) < 1
    assert float(picture) > 3


def test_the_expected_dice_warns_of_the_dyed_tissue():
    tissue, cells = (float(value) for value in re.findall(r": (0\.\d+)$", printed("cell-35"), re.M))
    assert "about 0.4 here and 0.99 for the field above" in TEXT
    assert round(tissue, 1) == 0.4
    assert cells == 0.99
    assert "expected Dice 0.99" in figure_text("cell-27")


def test_the_second_and_third_skip_connection_carry_the_thin_vessels():
    scores = [float(score) for score in re.findall(r"Dice ([\d.]+\d)", figure_text("cell-39"))]
    first, second, third, fourth, without_any = scores
    assert "Cutting the first costs almost nothing" in TEXT
    assert first > 0.97
    assert "cutting the second or the third costs the thin vessels" in TEXT
    assert max(second, third) < 0.9
    assert "without any only broad smears" in TEXT
    assert without_any < 0.4
    assert without_any < min(first, second, third, fourth)


def test_nearly_all_errors_lie_near_a_rim():
    of_the_errors, of_all = numbers("cell-45")
    assert "Nearly all errors lie within three pixels of a rim" in TEXT
    assert of_the_errors > 95
    assert of_all < 50


def test_the_score_here_flatters_and_the_cards_is_given():
    here, *_ = numbers("cell-48")
    assert "Dice 0.91 over 55 images" in TEXT
    assert "Dice 0.91 (55 images)" in printed("cell-48")
    assert here > 0.91
    assert table("cell-46", ["Dice"]).loc["Cell nuclei", "Dice"] == pytest.approx(here, abs=0.005)


def test_the_network_is_right_at_both_ends_and_too_sure_in_between():
    said = table("cell-53-table", CALIBRATION)
    error = said["Share that is true"] - said["Mean probability"]

    assert "At both ends it is right, and there most pixels are" in TEXT
    assert abs(error.iloc[[0, -1]]).max() < 0.02
    assert said.Pixels.iloc[[0, -1]].sum() > 0.85 * said.Pixels.sum()

    assert "In between the curve runs below the line" in TEXT
    between = said["Mean probability"].between(0.1, 0.8)
    assert between.sum() >= 6
    assert (error[between] < 0).all()


def test_of_the_pixels_with_0_6_to_0_7_about_four_in_ten_are_nucleus():
    said = table("cell-53-table", CALIBRATION)
    assert said.loc["6", "Mean probability"] == pytest.approx(0.65, abs=0.05)
    assert said.loc["6", "Share that is true"] == pytest.approx(0.4, abs=0.1)
    assert numbers("cell-53") == [0.6, 0.7, 0.4]


def test_values_divided_by_255_give_nothing():
    right, wrong = (int(n) for n in re.findall(r"(\d+)% of the pixels", printed("cell-55")))
    assert right > 8
    assert wrong == 0


def test_an_image_of_the_wrong_kind_is_noticed():
    assert "looks unlike the images that the network learnt from" in printed("cell-57")
    assert "Suggested: ['nuclei_he', 'nuclei']" in printed("cell-57")


def test_both_parts_of_the_hippocampus_are_measured():
    anterior, posterior = numbers("cell-61")
    assert 2 < anterior < 2.6
    assert 1.7 < posterior < 2.3


def test_each_further_stroke_makes_the_answer_better():
    by_strokes = numbers("cell-72-painted")
    assert by_strokes[0::2] == [2, 5, 10]
    two, five, ten = by_strokes[1::2]
    assert "after two, five and ten strokes" in TEXT
    assert two < five < ten
    assert ten >= 0.95


def test_ten_strokes_are_stored_in_the_notebook():
    names = {}
    exec(source_of("cell-72-strokes"), names)
    assert [len(names["strokes"]), len({name for name, _ in names["strokes"]})] == [10, 2]


def test_strokes_teach_a_classifier_and_a_network():
    classifier, network = numbers("cell-72-scores")
    assert classifier > 0.85
    assert network > 0.6


def test_the_student_has_learnt_the_glands():
    seen, before, after = numbers("cell-76")
    assert "has nearly nothing in common with the glands" in TEXT
    assert before < 0.2
    assert "After thirty steps the Dice is above 0.9." in TEXT
    assert after > 0.9
    assert seen > 0.9
    assert "30 give 0.97" in TEXT
    assert after == pytest.approx(0.97, abs=0.015)


# the answers to the exercises, which no cell computes


@pytest.fixture(scope="module")
def retina() -> uh.MedicalImage:
    return uh.read_image(uh.sample("retina"))


def test_the_answer_about_the_second_skip_connection(retina):
    summary = uh.without_skips(retina, "retinal_vessels", levels=[2], progress=False).summary()
    assert "from 32,100 to 22,000 px" in TEXT
    assert round(summary["length"][0], -3) == 22_000
    assert "(12.9 % to 11.9 %)" in TEXT
    assert summary["of the field"][0] == pytest.approx(11.9, abs=0.05)


def test_the_answer_about_half_the_scale(retina):
    whole = uh.segment(retina, "retinal_vessels", progress=False)
    assert "at a scale of 0.72 by default" in TEXT
    assert whole.zoom == pytest.approx(0.72, abs=0.005)
    assert whole.summary()["length"][0] == pytest.approx(32_100, abs=50)

    summary = uh.segment(retina, "retinal_vessels", zoom=0.36, progress=False).summary()
    assert "27,100 px of vessels instead of 32,100" in TEXT
    assert summary["length"][0] == pytest.approx(27_100, abs=50)
    assert "7.7 instead of 6.8 px" in TEXT
    assert summary["mean width"][0] == pytest.approx(7.7, abs=0.05)


def test_the_answer_about_smaller_pictures():
    pixels = uh.read_image(uh.sample("fluorescence")).pixels
    results = [uh.segment(pixels[::n, ::n], "nuclei", progress=False) for n in (1, 2, 4, 8)]

    counts = [int(result.objects.max()) for result in results]
    assert "It counts {}, then {}, {} and {}".format(*counts) in TEXT
    expected = [f"{result.expected_dice[0]:.2f}" for result in results]
    assert "says so: {}, then {}, {} and {}".format(*expected) in TEXT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("learnt_from", "options", "sentence", "dice"),
    [
        (3, {"steps": 8}, "8 steps give Dice 0.62 on the unseen quarter", 0.62),
        (3, {"steps": 16}, "16 give 0.92", 0.92),
        (1, {"steps": 30}, "with one, 0.80", 0.80),
        (3, {"steps": 30, "pretrained": False}, "From random weights it is 0.97 too", 0.97),
    ],
)
def test_the_answers_about_learning_the_glands(learnt_from, options, sentence, dice):
    """As in the lesson, with fewer steps, fewer pieces or without a head start."""
    from skimage.color import rgb2hed
    from skimage.filters import gaussian

    stained = uh.read_image(uh.sample("ihc")).pixels
    glands = gaussian(rgb2hed(stained)[..., 2], sigma=8) > 0.05
    corners = [np.s_[:256, :256], np.s_[:256, 256:], np.s_[256:, :256], np.s_[256:, 256:]]
    pieces = [stained[corner] for corner in corners]
    masks = [glands[corner] for corner in corners]

    student = uh.fine_tune(
        "nuclei", pieces[:learnt_from], masks[:learnt_from], classes=["gland"], **options
    )
    answer = uh.segment(pieces[3], student, progress=False)
    assert sentence in TEXT
    assert uh.dice(masks[3], answer.labels) == pytest.approx(dice, abs=0.01)
