"""The runner of agents that speak the Agent Client Protocol.

``runner``, ``client``, ``session``, ``process`` and ``live`` bring in the protocol's SDK and
pydantic (half a second): import them where such an agent is used.
"""
