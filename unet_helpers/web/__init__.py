"""Pages that need no Python: a network with its runtime in one HTML file.

Entry: ``page.page``.
"""
