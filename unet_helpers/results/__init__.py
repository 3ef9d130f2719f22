"""What comes back: a ``Segmentation``, its objects, measurements, scores and files.

Entry: ``segmentation.Segmentation``.
"""
