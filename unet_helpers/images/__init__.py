"""A file becomes a ``MedicalImage``, values and geometry as stored; an answer goes back likewise.

Entry: ``read.read_image``. A format is a line in ``formats.FORMATS``.
"""
