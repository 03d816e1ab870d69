"""What an architecture is worth, learned from those that were evaluated."""
