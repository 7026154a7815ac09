"""Is a ledger's file whole?

LMDB reads through a memory map: a page beyond the end of a file that was cut short kills the
process that reads it (SIGBUS), and no exception tells why.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import lmdb

from raftsup.proc import reexec

#: Seconds for reading all of it.
READ_TIMEOUT_S = 20.0
#: More than a new ledger takes.
_BIRTH_BYTES = 1 << 20


def cut_short(env: lmdb.Environment, path: Path) -> bool:
    """Whether a page that is in use lies beyond the end of ``data.mdb`` in folder ``path``."""
    pages = env.info()["last_pgno"] + 1
    if (path / "data.mdb").stat().st_size >= pages * env.stat()["psize"]:
        return False
    # Pages at the end that were used and given back in one transaction are never written: a whole
    # ledger may be short by some. Only reading it tells, and a child may die of it.
    try:
        done = subprocess.run(
            reexec.argv(__name__, os.fspath(path)), stdin=subprocess.DEVNULL,
            capture_output=True, timeout=READ_TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False  # not known
    return done.returncode < 0


def torn_at_birth(file: Path) -> bool:
    """Whether nothing was ever written into ``file`` but the begin of a new ledger, of which a
    power cut left zeros: all of it, or one of its first two pages.
    """
    page = resource.getpagesize()
    try:
        size = file.stat().st_size
        data = file.read_bytes() if 0 < size <= _BIRTH_BYTES else b"?"
    except OSError:
        return False  # not there yet, or told of by who opens it
    return not any(data) or (size == 2 * page and not (any(data[:page]) and any(data[page:])))


def touch(path: str) -> None:
    """Read every record there is."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with (
        lmdb.open(path, readonly=True, create=False, lib_version=0, max_dbs=64) as env,
        env.begin() as txn,
    ):
        names = [bytes(name) for name, _ in txn.cursor()]
        for name in names:
            db = env.open_db(name, txn=txn, create=False)
            sum(len(key) + sum(value) for key, value in txn.cursor(db))


if __name__ == "__main__":
    touch(sys.argv[1])
