"""Proves the rights of the template: sufficient for every recorded call, and all of them needed."""
