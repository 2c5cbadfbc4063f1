"""``rotation cost``: what a deployment costs in a month."""
