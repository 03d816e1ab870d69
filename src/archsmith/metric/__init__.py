"""Losses over embeddings, and batches that give them pairs."""
