"""Benchmarks on an Android phone over adb, by the engines' own benchmark tools; the user gives these."""
