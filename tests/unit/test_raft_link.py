"""Whether an account can reach Raft, by what its worker says of its bridge."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from raftsup.dispatcher.raft_link import cut_off
from raftsup.paths import StateDir

NOBODY = 2**22 + 1  # above any pid


@pytest.mark.parametrize(
    ("lives", "bridge", "told"),
    [
        (True, {"state": "listening"}, ""),
        (True, {"state": "revoked"}, "cut off from Raft meanwhile: its bridge is revoked"),
        (True, {"state": "waiting"}, "cut off from Raft meanwhile: its bridge is waiting"),
        (False, {"state": "waiting"}, ""),
    ],
)
def test_an_account_is_cut_off_while_its_bridge_does_not_listen(
    tmp_path: Path, lives: bool, bridge: dict[str, str], told: str
) -> None:
    state = StateDir(tmp_path)
    assert cut_off(state, "support") == "", "nobody knows"
    state.report("support").parent.mkdir(parents=True)
    state.report("support").write_text(
        json.dumps({"pid": os.getpid() if lives else NOBODY, "bridge": bridge})
    )
    assert cut_off(state, "support") == told
