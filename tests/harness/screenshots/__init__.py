"""Takes the pictures of the documentation in headless Chromium: ``make screenshots``."""
