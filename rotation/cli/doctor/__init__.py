"""``rotation doctor``: finds why an application cannot use its key, and says how to repair it.

`checks` makes the checks, in order, with what `aws` and `vendor` bring. `catalogue` has the
cause and the fix of every code; ``docs/doctor.md`` shows the same texts.
"""
