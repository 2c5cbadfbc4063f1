"""Raises a sealed document to B-T, B-LT or B-LTA (ETSI EN 319 142-1, 6), by incremental updates.

Only who asks for such a level imports this room: it loads the part of pyHanko that signs and
validates, which takes longer to import than sealing a document takes.
"""
