"""``rotation extend``: raises the level of documents that are sealed already."""
