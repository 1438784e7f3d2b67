"""Parity: an artifact's outputs against the reference model's, in decoded keypoints and boxes."""
