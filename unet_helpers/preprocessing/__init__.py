"""From pixels as stored to what a network reads, and whether an image suits a network.
Entry: ``slices.PreparedStack``.
"""
