"""The U-Net, the cards that describe the pretrained networks, and the loading of weights.

Entry: ``load.load_model``.
"""
