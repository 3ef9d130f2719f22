"""From an image and a network to a ``Segmentation``.

Entry: ``segment.segment``.
"""
