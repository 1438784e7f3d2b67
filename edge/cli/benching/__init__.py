"""What `edgepose bench` measures and says besides its rows."""
