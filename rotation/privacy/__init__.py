"""Keeps key material out of logs and messages, and provides the logger and the metrics."""
