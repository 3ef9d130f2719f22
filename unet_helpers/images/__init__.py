"""Read files as ``MedicalImage``, with values and geometry as stored, and write answers to files.

Entry: ``read.read_image``. The table of formats is ``formats.FORMATS``.
"""
