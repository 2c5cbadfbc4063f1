"""Lambda entry points: each wires the parts from the settings and answers for one event."""
