"""Whether an image suits a network, and how good the answer is likely to be.

Start reading at ``checks.run_checks``.
"""
