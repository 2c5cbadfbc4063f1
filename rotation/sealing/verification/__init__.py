"""What a sealed file is worth: its signatures, and what was added after each of them."""
