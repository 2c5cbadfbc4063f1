"""The fault harness: every outbound call fails in every way, and the invariants are the judge."""
