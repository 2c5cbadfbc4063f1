"""``rotation seal``: seals files, folders and prefixes of S3 from a terminal."""
