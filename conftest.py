"""The same arithmetic on every processor: recorded answers are compared, also those in the notebook."""

import os

os.environ["UNET_HELPERS_PRECISION"] = "float32"
