"""Capped exponential back-off with jitter: one rule for workers, bridges and lanes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Seconds to wait before try ``n + 1`` after ``n`` failures in a row."""

    base: float
    cap: float
    #: Share of the delay that jitter may take away, so that fifty children that died
    #: together do not come back together.
    jitter: float = 0.25

    def delay(self, failures: int, random: float = 0.0) -> float:
        """The delay in seconds after ``failures`` (1, 2, …); 0 for none.

        ``random`` is a number in [0, 1): the caller's, so that the rule stays pure.
        """
        if failures <= 0:
            return 0.0
        # The exponent is bounded: 2.0 ** 1100 overflows, and the cap is long reached.
        full = min(self.cap, self.base * 2.0 ** min(failures - 1, 60))
        return full * (1.0 - self.jitter * random)
