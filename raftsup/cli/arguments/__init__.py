"""The words of the command line: one file a group of commands, each with ``add``."""
