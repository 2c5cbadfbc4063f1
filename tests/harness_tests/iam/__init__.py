"""Judges the proof of the rights."""
