"""The programs on the pages of ``docs/examples``, each run through a rotation."""
