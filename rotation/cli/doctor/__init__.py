"""What is wrong where an application runs: facts are gathered, and then judged.

``probe_*`` ask AWS and the vendor and never judge; ``judge_*`` turn what came back into results and
ask nobody; ``table`` has a cause and a fix for every code. ``docs/doctor.md`` is that table.
"""
