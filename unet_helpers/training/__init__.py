"""Data sets, examples, augmentation, training, fine-tuning and evaluation.

Entries: ``train.train`` and ``finetune.fine_tune``.
"""
