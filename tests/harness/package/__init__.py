"""Fills and describes the artifacts for the Makefile; nothing of it is a test."""
