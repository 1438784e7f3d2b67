"""The user's cache of artifacts: lookup by name, and bundles that carry artifacts to a board."""
