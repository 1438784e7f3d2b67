"""Version of the distribution `edgepose`."""

__version__ = "0.1.0"
