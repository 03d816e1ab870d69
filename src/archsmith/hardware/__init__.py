"""Costs of a model on real hardware: latency, memory, energy, and a latency predictor."""
