"""Large images in memory: how much they take, and that a save may be interrupted."""

import subprocess
import sys

import numpy as np
import pytest
from helpers.places import ROOT

import unet_helpers as uh
from unet_helpers.results import save

pytestmark = pytest.mark.slow

WORK = """
import resource
import numpy as np
import unet_helpers as uh

model = uh.load_model("nuclei")
uh.segment(np.zeros((64, 64, 3), np.uint8), model, zoom=1.0)  # what is loaded once
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pixels = np.tile(uh.read_image("sample_images/ihc.png").pixels, (16, 16, 1))
result = uh.segment(pixels, model, zoom=0.5, progress=False)
assert result.labels.shape == (8192, 8192)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)
"""


def test_8192_squared_in_colour_fits_into_1500_mb():
    done = subprocess.run(
        [sys.executable, "-c", WORK], cwd=ROOT, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout.split()[-1]) < 1.5


def test_interrupting_a_save_leaves_nothing_half_written(tmp_path, monkeypatch):
    result = uh.segment(np.zeros((40, 40), np.uint8), "nuclei", progress=False)

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(save, "manifest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        result.save(tmp_path / "results")
    assert not list((tmp_path / "results").iterdir())
