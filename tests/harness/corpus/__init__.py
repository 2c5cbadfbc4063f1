"""Documents that nobody here wrote: what the sealer makes of them, and what other programs say."""
