"""Who could read a secret, who did, and what a leaver knew. It judges, and does no IO."""
