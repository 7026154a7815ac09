"""The runner of agents that speak the Agent Client Protocol.

It brings in the protocol's SDK and pydantic (half a second): import it where such an agent is
used.
"""

from raftsup.runners.acp.runner import AcpRunner

__all__ = ["AcpRunner"]
