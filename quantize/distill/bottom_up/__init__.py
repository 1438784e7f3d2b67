"""Training of bottom-up pose models (associative embedding): data, targets, losses, and a complete run."""
