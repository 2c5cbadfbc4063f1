"""Draws the glyphs of visible seals once, from the font that lies here."""
