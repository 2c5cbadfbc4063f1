"""Rotate a Trusted Signatures API key in AWS Secrets Manager, and seal PDFs with it."""

__version__ = "0.1.0"
