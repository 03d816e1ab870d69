"""Classes without examples, known by attributes or by text."""
