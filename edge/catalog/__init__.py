"""The catalogue's tables, one file a family: ENTRIES by name, SPECS from an entry to what the model takes and gives."""
