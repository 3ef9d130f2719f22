"""The committed notebook: executed, short cells, small, and its text says what its cells show.

The numbers are read from the stored outputs. That a new run gives the same ones is checked by nbval
(see the README's command for the tests), for all cells that are not tagged to be ignored.
"""

import ast
import json
import re
from html import unescape

import numpy as np
import pytest
from helpers.places import ROOT

import unet_helpers as uh
from unet_helpers.version import HOME

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


def figure_text(cell: str) -> str:
    """The titles of a code cell's figure, which screen readers read out."""
    (output,) = CODE_CELLS[cell]["outputs"]
    return output["metadata"]["image/jpeg"]["alt"]


def page_of(cell: str) -> str:
    """The last HTML that a code cell shows, without the quotes of a frame."""
    output = CODE_CELLS[cell]["outputs"][-1]
    return unescape("".join(output["data"]["text/html"]))


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


def test_it_holds_no_picture_of_the_shared_folder():
    text = NOTEBOOK.read_text("utf-8")
    assert "shared/" not in text
    assert "/tmp/" not in re.sub(r"/tmp/ipykernel_\S+", "", text)


# how its cells read


def test_it_is_a_short_course():
    assert len(ALL_CELLS) <= 70


def test_its_sections_are_numbered_and_those_that_its_texts_name_exist():
    numbers_of_sections = [int(n) for n in re.findall(r"^## (\d+)\. ", TEXT, re.M)]
    assert numbers_of_sections == list(range(1, len(numbers_of_sections) + 1))
    named = {int(n) for n in re.findall(r"section (\d+)", TEXT)}
    assert named
    assert named <= set(numbers_of_sections)


@pytest.mark.parametrize(
    ("number", "title"),
    [
        (3, "Your own image"),
        (6, "Count and measure nuclei"),
        (7, "How good is it?"),
        (9, "Teach it something of your own"),
        (10, "Take the results away"),
    ],
)
def test_a_section_that_a_text_or_a_page_of_the_docs_names_has_its_number(number, title):
    assert f"## {number}. {title}\n" in TEXT


def test_every_guess_has_a_folded_answer():
    guesses = TEXT.count("**Guess first:**")
    assert guesses >= 7
    assert TEXT.count("<details><summary>Answer</summary>") == guesses
    assert TEXT.count("<details>") == TEXT.count("</details>")


def test_the_reader_chooses_among_all_networks():
    choices = re.search(r"network_name = .*#@param (\[.*\])", source_of("own-image-form"))[1]
    assert json.loads(choices)[0] == "suggested"
    assert set(json.loads(choices)[1:]) == set(uh.MODELS)


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


def test_the_network_has_under_two_million_numbers_and_the_papers_31():
    here = sum(weights.numel() for weights in uh.load_model("retinal_vessels").parameters())
    paper = sum(weights.numel() for weights in uh.UNet(1, 2, features=64).parameters())
    assert "under two million" in TEXT
    assert 1.8e6 < here < 2e6
    assert "about 31 million" in TEXT
    assert 30.5e6 < paper < 31.5e6


def test_nearly_half_of_the_numbers_to_learn_are_at_the_bottom():
    network = uh.load_model("retinal_vessels")
    everywhere = sum(weights.numel() for weights in network.parameters())
    at_the_bottom = sum(weights.numel() for weights in network.bottleneck.parameters())
    assert "nearly half of all numbers" in TEXT
    assert 0.43 < at_the_bottom / everywhere < 0.5


def test_at_the_bottom_a_value_depends_on_140_px():
    frames = re.findall(r"<li><strong>(.*?)\.</strong> (.*?)</li>", page_of("forward-pass"))
    assert "A square of 140 px: frame 10 says so." in TEXT
    assert "a square of 140 px" in frames[9][1]


def test_a_network_has_four_megabytes_on_disk():
    (size,) = {path.stat().st_size // 10**6 for path in ROOT.glob("unet_helpers/weights/nuclei.*s")}
    assert "four megabytes on disk" in TEXT
    assert size in (3, 4)


def test_the_vessels_have_the_size_that_the_answers_to_the_exercises_give():
    share, length, width = numbers("cell-25")
    assert share == 12
    assert length == 31_000
    assert width == 7


def test_as_many_nuclei_are_found_as_the_answer_to_an_exercise_says():
    found, drawn = numbers("cell-30")[:2]
    assert found == 120
    assert drawn == 125


def test_most_nuclei_are_of_one_size_and_few_are_double():
    percent, _, _, limit, specks, doubled = numbers("cell-30")[2:]
    assert percent > 70
    assert limit == 30
    assert specks <= 3
    assert doubled <= 3


def test_many_of_the_objects_in_the_dyed_tissue_are_specks():
    (specks,) = re.findall(r"(\d+)% of the objects", printed("cell-35"))
    assert "many of all objects are specks of less than 30 pixels" in TEXT
    assert 25 < int(specks) < 60


def test_in_the_gland_almost_no_nucleus_is_found():
    picture, gland = re.findall(r"([\d.]+)%", printed("cell-35"))[1:]
    assert "Almost none in the gland at the lower left" in TEXT
    assert float(gland) < 1
    assert float(picture) > 3


def test_the_expected_dice_warns_of_the_dyed_tissue():
    tissue, cells = (float(value) for value in re.findall(r": (0\.\d+)$", printed("cell-35"), re.M))
    assert "is far below that of the field above" in TEXT
    assert tissue < cells - 0.3
    assert f"expected Dice {cells:.2f}" in figure_text("cell-27")


def test_the_second_and_third_skip_connection_carry_the_thin_vessels():
    scores = [float(score) for score in re.findall(r"Dice ([\d.]+\d)", figure_text("cell-39"))]
    first, second, third, fourth, without_any = scores
    assert "Cutting the first costs almost nothing" in TEXT
    assert first > 0.97
    assert "The third, and then the second: without either, thin vessels are lost" in TEXT
    assert third < second < min(first, fourth)
    assert third < 0.85
    assert "without any only broad smears" in TEXT
    assert without_any < 0.4
    assert without_any < min(first, second, third, fourth)


def test_nearly_all_errors_lie_near_a_rim():
    of_the_errors, of_all = numbers("cell-45")
    assert "Nearly all within three pixels of a rim" in TEXT
    assert of_the_errors > 90
    assert of_all < 50


def test_the_score_here_flatters_and_the_cards_is_given():
    here, *_ = numbers("cell-48")
    assert uh.MODELS["nuclei"].score_texts[0] in printed("cell-48")
    assert here > 0.92


def test_the_network_is_right_at_both_ends_and_too_sure_in_between():
    image = uh.read_image(uh.sample("fluorescence"))
    truth = uh.read_image(uh.sample("fluorescence", ground_truth=True)).pixels
    said = uh.calibration(uh.segment(image, "nuclei", progress=False), truth)
    error = said["Share that is true"] - said["Mean probability"]

    assert "At both ends it is right, and there most pixels are" in TEXT
    assert abs(error.iloc[[0, -1]]).max() < 0.02
    assert "In between the curve runs below the line" in TEXT
    between = said["Mean probability"].between(0.1, 0.8)
    assert between.sum() >= 6
    assert (error[between] < 0).all()


def test_the_printed_calibration_is_that_of_a_network_that_is_too_sure():
    low, high, true, at_the_ends = numbers("cell-51")
    assert (low, high) == (0.6, 0.7)
    assert true < 0.6
    assert at_the_ends > 80


def test_values_divided_by_255_give_nothing():
    right, wrong = (int(n) for n in re.findall(r"(\d+)% of the pixels", printed("cell-55")))
    assert right > 8
    assert wrong == 0


def test_an_image_of_the_wrong_kind_is_noticed():
    assert "looks unlike the images that the network learnt from" in printed("cell-57")
    assert "Suggested: ['nuclei_he', 'nuclei']" in printed("cell-57")


def test_the_reader_without_an_image_sees_the_sample():
    page = page_of("own-image-form")
    assert page.count("<img") == 1
    assert "he by nuclei_he" in page


def test_the_answer_on_the_unseen_quarter_gets_better_and_the_loss_says_how_far():
    last, before, after = numbers("cell-73")[-3:]
    assert last == 30
    assert after > before + 0.1
    page = page_of("watch-it-learn-page")
    assert len(re.findall(r"<strong>After step \d+\.", page)) == 8
    by_step = dict(re.findall(r"After step (\d+)\..{0,80}?Dice ([\d.]+) here", page, re.DOTALL))
    assert "the Dice is about 0.8 already. From about step 20 on it is above 0.9." in TEXT
    assert float(by_step["8"]) == pytest.approx(0.8, abs=0.08)
    assert float(by_step["23"]) > 0.9

    settled = "the loss has settled." in printed("cell-73")
    assert settled or "the loss has not settled" in printed("cell-73")


def test_the_time_is_that_which_was_measured_and_its_shares_are_all_of_it():
    seconds, *shares = numbers("time-spent")
    assert seconds > 10
    assert len(shares) == 3
    assert sum(shares) == pytest.approx(100, abs=2)


def test_five_strokes_are_better_than_two_and_ten_not_worse():
    by_strokes = numbers("cell-72-painted")
    assert by_strokes[0::2] == [2, 5, 10]
    two, five, ten = by_strokes[1::2]
    assert "after two, five and ten strokes" in TEXT
    assert two < five <= ten
    assert ten >= 0.95


def test_ten_strokes_are_stored_in_the_notebook():
    names = {}
    exec(source_of("cell-72-strokes"), names)
    assert [len(names["strokes"]), len({name for name, _ in names["strokes"]})] == [10, 2]


def test_strokes_teach_a_classifier_and_a_network():
    classifier, network = numbers("cell-72-learn")[-2:]
    assert classifier > 0.85
    assert network > 0.6


def test_the_student_has_learnt_the_glands():
    before, after = numbers("cell-76")
    assert "has nearly nothing in common with the glands" in TEXT
    assert before < 0.2
    assert "After thirty steps the Dice is above 0.9." in TEXT
    assert after > 0.9
    assert "30 give 0.97" in TEXT
    assert after == pytest.approx(0.97, abs=0.015)


# the answers to the exercises, which no cell computes


@pytest.fixture(scope="module")
def retina() -> uh.MedicalImage:
    return uh.read_image(uh.sample("retina"))


def test_the_answer_about_the_second_skip_connection(retina):
    summary = uh.without_skips(retina, "retinal_vessels", levels=[2], progress=False).summary()
    assert "from about 31,000 to about 24,500 px" in TEXT
    assert summary["length"][0] == pytest.approx(24_500, rel=0.02)
    assert "(12.3 % to 11.8 %)" in TEXT
    assert summary["of the field"][0] == pytest.approx(11.8, abs=0.1)


def test_the_answer_about_half_the_scale(retina):
    whole = uh.segment(retina, "retinal_vessels", progress=False)
    assert "at a scale of 0.90 by default" in TEXT
    assert whole.zoom == pytest.approx(0.90, abs=0.005)
    assert whole.summary()["length"][0] == pytest.approx(31_000, rel=0.02)

    summary = uh.segment(retina, "retinal_vessels", zoom=0.45, progress=False).summary()
    assert "about 27,800 px of vessels instead of 31,000" in TEXT
    assert summary["length"][0] == pytest.approx(27_800, rel=0.02)
    assert "about 7.1 instead of 6.7 px" in TEXT
    assert summary["mean width"][0] == pytest.approx(7.1, abs=0.05)


def test_the_answer_about_smaller_pictures():
    pixels = uh.read_image(uh.sample("fluorescence")).pixels
    results = [uh.segment(pixels[::n, ::n], "nuclei", progress=False) for n in (1, 2, 4, 8)]

    counts = [int(result.objects.max()) for result in results]
    assert "It counts about 120, then 105, 90 and 75" in TEXT
    assert counts == pytest.approx([120, 105, 90, 75], abs=6)
    expected = [result.expected_dice[0] for result in results]
    assert "says so: 0.99, then about 0.85, 0.75 and 0.7" in TEXT
    assert expected == pytest.approx([0.99, 0.85, 0.75, 0.7], abs=0.04)


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
