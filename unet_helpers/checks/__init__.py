"""Whether an image suits a network, and how good the answer is likely to be.

Entry: ``checks.run_checks``.
"""
