"""The committed notebook: executed, without errors, within its size, and it tells the truth."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "Medical_Image_Segmentation.ipynb"
CELLS = [
    c
    for c in json.loads(NOTEBOOK.read_text())["cells"]
    if c["cell_type"] == "code" and "".join(c["source"]).strip()
]


@pytest.mark.parametrize("cell", CELLS, ids=[c["id"] for c in CELLS])
def test_every_code_cell_was_executed_without_error_and_is_short(cell):
    assert cell["execution_count"] is not None or "nbval-skip" in cell["metadata"].get("tags", [])
    assert not [o for o in cell["outputs"] if o["output_type"] == "error"]
    source = "".join(cell["source"])
    assert len(source.splitlines()) <= 10
    assert "def " not in source
    assert "lambda" not in source


def test_cells_ran_in_order_from_a_fresh_kernel():
    counts = [c["execution_count"] for c in CELLS if c["execution_count"] is not None]
    assert counts == list(range(1, len(counts) + 1))


def test_it_is_small_enough_to_be_cloned():
    assert NOTEBOOK.stat().st_size < 3_000_000
