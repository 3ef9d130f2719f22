"""Turn pixels as stored into the network's input: choose channels, scale intensities and size.

Entry: ``prepare.prepare``.
"""
