"""The command line as ``python -m unet_helpers``; its commands are in ``shell``."""

import sys

from .shell.app import main

if __name__ == "__main__":
    sys.exit(main())
