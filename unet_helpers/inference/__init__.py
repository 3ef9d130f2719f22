"""Computes a ``Segmentation`` from an image and a network.

Entry: ``segment.segment``.
"""
