"""The U-Net, the card that describes each pretrained network, and weights from files.

Entry: ``load.load_model``.
"""
