"""Builds the parts of each function from its settings. Decides nothing."""
