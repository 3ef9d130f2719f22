"""Where things lie: the repository, and the data sets beside it, which a user does not have."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
DATA, SAMPLES = SHARED / "data", SHARED / "samples"

# The browser of the lane ``browser``; None on a machine without one.
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
