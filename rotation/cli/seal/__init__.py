"""The parts of ``rotation seal``: what is to be sealed, sealing it, and telling of it."""
