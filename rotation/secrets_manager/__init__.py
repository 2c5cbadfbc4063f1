"""What the secret store says and does: versions, staging labels, calls and their errors."""
