"""Losses of pose students against labels and teachers."""
