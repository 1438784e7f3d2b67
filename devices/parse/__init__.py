"""Pure parsers of the texts that identify a device: text in, frozen values out; they read no file and raise nothing.

A text may be empty, truncated, of another kernel or of an unknown device: what cannot be parsed is left out.
"""
