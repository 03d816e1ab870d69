"""Fine-tuning: what is frozen, what learns how fast, and what is added."""
