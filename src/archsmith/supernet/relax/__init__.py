"""Differentiable search: all options alive at once, mixed by weights that are learned."""
