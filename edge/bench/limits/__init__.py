"""What this machine can do at most, measured once, and how far a benchmark's row is from it."""
