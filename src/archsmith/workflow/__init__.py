"""The main job, from a plan to a trained and reported result."""
