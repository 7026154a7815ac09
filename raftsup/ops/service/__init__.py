"""raftsup under the machine's service manager: systemd, or launchd on macOS.

A service belongs to an instance by its state folder: that is what makes a host one.
"""
