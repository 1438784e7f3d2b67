"""Installation of the packages that edgepose needs: missing system libraries, and imports that fail."""
