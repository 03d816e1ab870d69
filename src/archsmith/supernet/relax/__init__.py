"""Differentiable search: all options active at once, mixed by learned weights."""
