"""Turns behind an OpenAI-style HTTP endpoint: ``/responses`` or ``/chat/completions``."""
