"""Network definitions, one family a file; `export.registry` says which file holds which family."""
