"""Foundations of every package: errors, registries, files, text."""
