"""A file becomes a ``MedicalImage``, values and geometry as stored, and an answer goes back the same way.
Entry: ``read.read_image``.
"""
