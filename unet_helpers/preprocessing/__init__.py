"""From pixels as stored to what a network reads: channels, intensities, working scale.

Entry: ``prepare.prepare``.
"""
