"""Darkroom: the picture you get is the picture the trainer previewed, or you are told why not."""

__version__ = "0.1.0"
