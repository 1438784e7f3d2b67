"""Teachers: opened from any model, run once into a cache or at every step on the crops of the student."""
