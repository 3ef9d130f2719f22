"""Data sets, examples, augmentation, training, fine-tuning and evaluation.

Entries: ``train.main`` and ``finetune.fine_tune``.
"""
