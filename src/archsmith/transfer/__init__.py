"""What is learned in one place and used in another: features, fine-tuning, few and no examples."""
