"""Training data: people and their pictures to augmented crops and targets in batches."""
