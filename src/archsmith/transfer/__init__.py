"""Learning in one place for use in another: features, fine-tuning, few-shot and zero-shot."""
