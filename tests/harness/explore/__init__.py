"""The explorer: several actors at once, and every order of their calls (``docs/explorer.md``)."""
