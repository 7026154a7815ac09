"""``raftsup status --watch``: the screen drawn anew in place, or a block at each change."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from raftsup.ops.status.document import Status
from raftsup.terminal import moment

#: The alternate screen, no cursor, no wrapping of what is wider; and all of it undone.
ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _LINE_END, _REST = "\x1b[H", "\x1b[K", "\x1b[J"
#: The seconds that a sentence counts, and what else changes by the mere passing of time.
_SECONDS = re.compile(r"\d+ s\b")
_PASSING = ("at", "heardAt", "heardAgo")

Look = Callable[[], Status]


def settled(status: Any) -> Any:
    """``status`` without what changes by the mere passing of time: equal means no news."""
    match status:
        case dict():
            return {key: settled(told) for key, told in status.items() if key not in _PASSING}
        case list():
            return [settled(told) for told in status]
        case str():
            return _SECONDS.sub("… s", status)
        case _:
            return status


def frame(text: str, rows: int) -> str:
    """What draws ``text`` over the last frame on a terminal with so many rows."""
    lines = text.splitlines() or [""]
    if len(lines) > rows:
        left = len(lines) - rows + 1
        lines = [*lines[: rows - 1], f"… {left} more lines: a taller window shows them"]
    # Each place is wiped before it is written: after a line as wide as the screen the cursor
    # stands on its last letter. No line feed after the last: it would scroll a full screen.
    *others, last = lines
    return _HOME + "".join(f"{_LINE_END}{line}\r\n" for line in others) + _REST + last


def news(
    look: Look, seconds: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Status]:
    """The status now, and again whenever a look each ``seconds`` finds another."""
    last = None
    while True:
        status = look()
        if (now := settled(status)) != last:
            last = now
            yield status
        sleep(seconds)


def redraw(show: Callable[[int], str], seconds: float, out: TextIO) -> None:
    """Draw ``show(columns)`` each ``seconds``, and when the window changes, until a signal ends it.

    The terminal is left as it was found, whichever signal it is; also while Ctrl-Z holds it.
    """
    with _terminal(out), _resized() as resized:
        while True:
            # The terminal's own: an exported LINES would hold on to what it once was. One that
            # was never given a size says 0.
            columns, lines = os.get_terminal_size(out.fileno())
            out.write(frame(f"{show(columns or 80)}\n{_foot(seconds)}", lines or 24))
            out.flush()
            if select.select([resized], [], [], seconds)[0]:
                os.read(resized, 512)


def _foot(seconds: float) -> str:
    return f"{moment(time.time())}, every {seconds:g} s; Ctrl-C ends"


@contextlib.contextmanager
def _terminal(out: TextIO) -> Iterator[None]:
    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    def pause(number: int, _frame: object) -> None:
        # Past the buffer, which may be in the middle of a frame.
        os.write(out.fileno(), LEAVE.encode())
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # stops here until `fg`
        signal.signal(number, pause)
        os.write(out.fileno(), ENTER.encode())

    handlers = {signal.SIGTERM: end, signal.SIGHUP: end, signal.SIGTSTP: pause}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        out.write(ENTER)
        out.flush()
        yield
    finally:
        with contextlib.suppress(OSError):  # the terminal itself may be gone
            out.write(LEAVE)
            out.flush()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _resized() -> Iterator[int]:
    """A descriptor that becomes readable when the window has changed."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.signal(signal.SIGWINCH, lambda *_: None)
    descriptor = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield read
    finally:
        signal.set_wakeup_fd(descriptor)
        signal.signal(signal.SIGWINCH, before)
        os.close(read)
        os.close(write)
