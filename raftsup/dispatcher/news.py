"""What becomes of turns, told to the log and to those who follow the dispatcher."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from raftsup.log import say
from raftsup.runners import Step
from raftsup.turn import Turn

LOG = logging.getLogger("raftsup.dispatcher")


@dataclass(frozen=True)
class News:
    publish: Callable[[dict[str, object]], None]
    #: Unix seconds.
    now: Callable[[], float]

    def tell(self, action: str, turn: Turn, lane: str | None) -> None:
        """``action`` names what became of ``turn``."""
        facts: dict[str, object] = {
            "turn": turn.id,
            "account": turn.account,
            "lane": lane,
            "attempt": turn.attempt,
            "reason": turn.reason or None,
        }
        LOG.info(say(action, **facts))
        self.publish({"event": action, "at": self.now(), **facts})

    def step(self, turn: Turn, step: Step) -> None:
        """A step of a running attempt: for followers alone, the log would fill with them."""
        about = {"turn": turn.id, "account": turn.account, "attempt": turn.attempt}
        self.publish({"event": "turn.step", "at": self.now(), **about, **vars(step)})
