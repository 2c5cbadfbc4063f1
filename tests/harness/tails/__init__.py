"""Judges every tail that can be made, by three judges."""
