"""Runs and evaluations side by side: rows, tables, pictures, one HTML page."""
