"""A stand-in for Colab: what the notebook sees of it, on any machine."""
