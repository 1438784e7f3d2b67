"""Teach a small pose model from a large one: heatmaps, knowledge tokens, SimCC, features."""
