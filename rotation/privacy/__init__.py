"""What must never be printed, and what keeps it out of logs and messages."""
