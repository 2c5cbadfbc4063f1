"""The settings of the Lambda functions: the only reader of ``os.environ``.

Each function has a frozen dataclass in a module of its own, so that an artifact holds the settings
of its own functions alone; ``from_environment`` reads, checks and explains. Every variable is
listed in ``docs/settings.md``.
"""
