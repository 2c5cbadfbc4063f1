"""The journal: what is known of each key of a secret, and of its incidents, by key id."""
