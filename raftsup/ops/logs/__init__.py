"""``raftsup logs``: the logs of all programs as one."""
