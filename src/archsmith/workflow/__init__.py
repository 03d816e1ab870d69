"""The search workflow, from a plan to a trained and reported result."""
