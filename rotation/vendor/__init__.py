"""Trusted Signatures, and nothing but it."""
