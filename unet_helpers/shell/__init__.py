"""The command line: a group of commands, each in a module of its name.

Entry: ``main`` in ``app.py``.
"""
