"""Documents made up and damaged, and sealed: nothing crashes, lasts, or is sealed wrongly."""
