"""Reads PDF as tolerantly as viewers do, and within bounds."""
