"""Health of this installation and machine, for `doctor` and for one-line errors: packages really imported."""
