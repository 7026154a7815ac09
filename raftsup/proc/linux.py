"""Ties between a process and its parent that only the kernel can keep (Linux ``prctl``).

Elsewhere the calls do nothing: there a child of a killed parent is found by the polls of
gunicorn's worker and by the end of its control socket.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

# Resolved at import: between fork and exec no loader and no allocator should be needed.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when ``parent`` (its parent's pid) is gone.

    Ends the process at once if the parent died before the tie was made. The signal comes when
    the *thread* that forked ends: fork from a thread that lives as long as its process.
    """
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


#: What tells a program to end or to look again. Blocked around a fork: a signal that came
#: between the fork and the child's ``reset_signals`` would be the parent's handler's to swallow.
STEERING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP})


def reset_signals(*, before_exec: bool = False) -> None:
    """Undo what the parent's Python set up: handlers, wake-up descriptor, and last the mask.

    SIGPIPE stays ignored in a child that goes on as Python, which turns it into an error where
    it happens; ``before_exec`` it goes back to what programs expect.
    """
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        # Real-time signals and the like cannot be set on every system: leave those.
        try:
            if signal.getsignal(number) is not signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue
    if not before_exec:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
