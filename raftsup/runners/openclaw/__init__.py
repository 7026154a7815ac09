"""Turns behind an OpenClaw Gateway, by the Gateway's own WebSocket protocol (version 4).

Source of the frames: ``protocol.schema.json`` of the npm package ``@openclaw/gateway-protocol``
and ``docs/gateway/protocol`` of the npm package ``openclaw``, 2026.9.
"""
