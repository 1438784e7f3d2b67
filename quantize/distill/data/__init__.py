"""Training data: person instances in pictures to batches of augmented crops with keypoint targets."""
