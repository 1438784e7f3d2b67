"""devices: which machine is this, and what suits it."""
