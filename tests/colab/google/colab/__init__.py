"""A stand-in for Colab's own module: it answers uploads with a file and keeps what is downloaded."""
