"""Which messages a turn is about: the same ``messageId`` owes no second turn while one is open.

``ATTACHED`` lists a turn's messages for as long as its record is kept; ``MESSAGES`` leads from a
message to the one turn that is queued or running for it.
"""

from __future__ import annotations

from raftsup.ledger.schema import Table
from raftsup.ledger.transaction import View


def open_(view: View, number: bytes, message: bytes) -> None:
    """The queued turn ``number`` is about ``message`` from now on."""
    view.add(Table.MESSAGES, message, number)
    view.add(Table.ATTACHED, number + message)


def close(view: View, number: bytes) -> None:
    """The turn has ended: who sends its messages again has not been read."""
    for message in _of(view, number):
        view.remove(Table.MESSAGES, message)


def reopen(view: View, number: bytes) -> None:
    """The turn is owed again, and with it its messages, but for those owed to another since."""
    for message in _of(view, number):
        if view.get(Table.MESSAGES, message) is None:
            view.add(Table.MESSAGES, message, number)
        else:
            view.remove(Table.ATTACHED, number + message)


def forget(view: View, number: bytes) -> None:
    """The record of the ended turn is swept."""
    for message in _of(view, number):
        view.remove(Table.ATTACHED, number + message)


def _of(view: View, number: bytes) -> list[bytes]:
    return [key[len(number) :] for key, _ in view.scan(Table.ATTACHED, number)]
