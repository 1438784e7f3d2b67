"""Loss terms of labels and teachers."""
