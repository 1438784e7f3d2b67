"""Model catalogue, one module a family: ENTRIES (published models by name) and SPECS (the spec of an entry)."""
