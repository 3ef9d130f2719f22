"""The result, a ``Segmentation``: its objects, measurements, scores and files.

Entry: ``segmentation.Segmentation``.
"""
