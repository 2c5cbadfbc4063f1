"""All of it on one machine: the vendor emulated, AWS made faithful, and the demo."""
