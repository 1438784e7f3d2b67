"""Limits of this machine, measured once, and the distance of a benchmark's row from them."""
