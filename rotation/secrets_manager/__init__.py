"""AWS Secrets Manager: the versions of a secret, their staging labels, and the calls to it."""
