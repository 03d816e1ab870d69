"""Classifiers that learn from a few examples, and episodes that measure them."""
