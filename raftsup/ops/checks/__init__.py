"""``raftsup doctor``: what is wrong with an instance, why it matters, what fixes it.

``table.py`` lists the checks; each is a function from a ``Scene`` to findings, in the module of
its theme. A check reads and judges; what it would change stands in its finding as a ``repair``.
"""
