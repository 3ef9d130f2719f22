"""Figures of results, volumes and scores, and of the inside of a network.

Entry: ``show.show``.
"""
