"""Media in and out: frame sources, result sinks, drawing."""
