"""What a model needs on real hardware: time, memory, energy, and a predictor of time."""
