"""Training of person detectors (RTMDet): data, label assignment, losses, and a complete run."""
