"""Deep features: embeddings of any model, kept on disk, probed, compared and drawn."""
