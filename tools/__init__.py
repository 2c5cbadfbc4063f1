"""What the Makefile runs beside the project: it fills and describes the artifacts."""
