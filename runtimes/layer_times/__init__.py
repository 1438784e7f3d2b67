"""Time of each layer of an artifact, where its engine tells it through Python: one module an engine."""
