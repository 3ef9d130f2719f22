"""Gone: use ``images.stack``; here only until the last import of it is rewritten."""

from .stack import as_displayed, frames, from_stack, to_stack  # noqa: F401
from .stack import in_affine_order as in_file_order  # noqa: F401
