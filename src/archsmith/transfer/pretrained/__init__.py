"""Weights from elsewhere: files, packages, hubs, and what of them fits a model."""
