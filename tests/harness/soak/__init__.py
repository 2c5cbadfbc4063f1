"""Seals without pause while keys are rotated, revoked, and everything around them goes wrong."""
