"""The same arithmetic on every processor: recorded answers are compared, also the notebook's."""

import os

os.environ["UNET_HELPERS_PRECISION"] = "float32"
