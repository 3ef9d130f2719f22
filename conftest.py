"""The same arithmetic on every processor: recorded answers are compared, also the notebook's."""

import os

os.environ["UNET_HELPERS_PRECISION"] = "float32"

# Two processes share the tests: each computes with one thread.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
