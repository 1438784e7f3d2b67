"""`edgepose run --remote`: a run on a board over OpenSSH, whose sources and results are files of this machine."""
