"""Large images: bounded memory, and the same answer wherever tiles begin."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

WORK = """
import resource, sys, threading, time
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
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", WORK], cwd=root, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout.split()[-1]) < 1.5


def test_interrupting_a_save_leaves_nothing_half_written(tmp_path, monkeypatch):
    import unet_helpers as uh
    from unet_helpers.results import save

    result = uh.segment(np.zeros((40, 40), np.uint8), "nuclei", progress=False)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(save, "manifest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        result.save(tmp_path / "results")
    assert not list((tmp_path / "results").iterdir())
