"""Benchmarks: latency, tuning, regression checks and reports."""
