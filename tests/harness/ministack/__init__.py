"""Runs the flows in a second emulator of AWS, under the rights of the template."""
