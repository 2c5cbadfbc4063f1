"""Rotates the API key of a payment gateway: another vendor, in one folder."""
