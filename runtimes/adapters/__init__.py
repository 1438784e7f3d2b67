"""Adapters: one module an engine behind `Session`, and what they share."""
