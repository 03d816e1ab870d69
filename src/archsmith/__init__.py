"""Neural architecture search for PyTorch."""
