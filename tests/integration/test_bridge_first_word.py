"""What a bridge says at once is heard, however quick it is."""

from __future__ import annotations

import os
import threading

from raftsup.raft_errors import Who
from raftsup.worker.bridge.process import Bridge
from raftsup.worker.bridge.state import Life

LISTENING = '{"type": "agent_comms.lifecycle", "state": "listening_idle"}'
#: Whether the first word or the news of the start came first was a race: it is run often.
STARTS = 20


def test_a_bridge_that_speaks_before_its_start_is_told_is_heard() -> None:
    for _ in range(STARTS):
        healthy = threading.Event()

        def changed(life: Life, healthy: threading.Event = healthy) -> None:
            if life.healthy:
                healthy.set()

        bridge = Bridge("a", Who("p"), {"PATH": os.environ["PATH"]}, changed)
        argv = ["sh", "-c", f"echo '{LISTENING}'; exec sleep 60"]
        thread = threading.Thread(target=bridge.run, args=(argv,))
        thread.start()
        try:
            assert healthy.wait(10), bridge.life
        finally:
            bridge.stop()
            thread.join()
