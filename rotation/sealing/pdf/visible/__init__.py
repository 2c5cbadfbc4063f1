"""Visible seals: the widget of the signature field, and its appearance."""
