"""Training: pose students with or without a teacher, and person detectors."""
