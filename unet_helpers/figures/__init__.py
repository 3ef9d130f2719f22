"""What a person looks at: overlays, volumes, scores, and the inside of a network.

Entry: ``show.show``.
"""
