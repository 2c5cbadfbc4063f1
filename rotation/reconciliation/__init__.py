"""Which keys must die, when, and the proof that they did: a pure plan, then its execution.

`rotation.reconciliation.run` is where a run begins. Nothing else in the package retires a key.
"""
