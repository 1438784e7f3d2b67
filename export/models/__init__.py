"""Network definitions and the recognition of their checkpoints; `export.registry` lists the families."""
