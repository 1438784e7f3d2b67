"""Measurements and messages of `edgepose bench` besides its rows."""
