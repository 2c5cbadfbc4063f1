"""Which keys must die, when, and the proof that they did: a pure plan, then its execution.

`rotation.reconciliation.reconciler` is where a run begins. Nothing outside this room retires a key.
"""
