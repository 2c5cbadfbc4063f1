"""A seal that is visible on a page: its widget, and what the widget shows."""
