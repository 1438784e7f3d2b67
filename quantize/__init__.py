"""quantize: makes artifacts smaller."""
