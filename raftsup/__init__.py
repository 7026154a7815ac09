"""A supervised host for many Raft external agents."""

__version__ = "0.2.0"
