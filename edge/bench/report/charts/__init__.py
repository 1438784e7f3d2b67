"""Charts of benchmark reports as inline SVG."""
