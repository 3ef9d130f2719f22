"""Teach and correct by hand: strokes and clicks on an image, a classifier that follows them.

Entries: ``painter.Painter``, ``widget.paint``.
"""
