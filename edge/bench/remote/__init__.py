"""Benchmarks on a board over OpenSSH, which needs Python 3.6 and the artifact's engine there, nothing of edgepose."""
