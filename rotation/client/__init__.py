"""What applications import: the cached credential, and the sealing function's client."""
