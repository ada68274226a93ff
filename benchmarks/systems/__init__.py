"""One worker program per system; each runs inside that system's own virtual environment."""
