"""The LMDB environment under the ledger: opening, transactions, what their failures mean."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import lmdb

from raftsup.ledger.errors import LedgerError, LedgerUnavailable
from raftsup.ledger.integrity import cut_short, torn_at_birth
from raftsup.ledger.schema import (
    LAST_TURN,
    META_KEY,
    Meta,
    Table,
    WrongFormat,
    dump_meta,
    load_meta,
    load_stats,
    pack_number,
)
from raftsup.ledger.transaction import Transaction
from raftsup.log import say
from raftsup.proc import liveness, lockfile
from raftsup.wait import until

LOG = logging.getLogger("raftsup.ledger")

#: Fixed by the first process that opens the ledger: 50 workers, the dispatcher, tools, with room.
MAX_READERS = 512

#: Pages, and share of the map, that no new wake may take: a turn that is owed already must be
#: able to start, end and be swept when the map is full, and LMDB needs free pages even to delete.
RESERVE_PAGES = 64
RESERVE_SHARE = 8
#: Bytes by which the record of a turn may grow until its end, in pages that are half full.
GROWTH = 1024

#: Seconds that a write waits for the other writers, and until it looks whether one is stopped.
WRITE_WAIT_S, _LOOK_S, _POLL_S = 3.0, 0.1, 0.001
_FILE, _LOCK, _GATE = "data.mdb", "lock.mdb", "writer.lock"
_GONE = "and no wake is taken: put it back, or begin a new one with `raftsup restart`"


class Store:
    """One open environment. Calls from several threads are served one after another."""

    def __init__(self, path: Path, map_size: int, readonly: bool, create: bool = True) -> None:
        self.path = path
        self.readonly = readonly
        self._pid = os.getpid()
        # LMDB has one writer at a time anyway, and the map may be resized only while no
        # transaction of this process is open.
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._closed = False
        # A read-only open of a folder without a ledger would leave a lock file there.
        if readonly and not (path / _FILE).exists():
            raise LedgerError(f"{path}: no ledger here; `raftsup up` makes one")
        if not create and not (path / _FILE).exists():
            # Nobody would run what is owed in a new one: its dispatcher has another.
            raise LedgerError(f"{path}: the ledger is gone, {_GONE}")
        self._gate = -1
        try:
            if readonly:
                self._open(map_size)
            else:
                path.mkdir(mode=0o700, exist_ok=True)
                flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
                self._gate = os.open(path / _GATE, flags, 0o600)
                with self._turn():
                    self._open(map_size)
        except BaseException as error:
            self._shut()
            if isinstance(error, lmdb.Error | OSError):
                raise LedgerError(
                    f"{path}: cannot open the ledger: {error}; check that the folder is this"
                    " user's, on a local disk, and holds a ledger written by raftsup"
                ) from error
            raise

    def _open(self, map_size: int) -> None:
        path, readonly = self.path, self.readonly
        if not readonly and torn_at_birth(path / _FILE):
            LOG.warning(say("ledger.torn", path=path, reason="it never held a wake", next="new"))
            (path / _FILE).unlink()
        self._env = lmdb.open(
            os.fspath(path),
            # A reader takes the size that the file has: by it is judged whether there is room.
            map_size=0 if readonly else map_size,
            mode=0o700,
            lib_version=0,
            readonly=readonly,
            create=not readonly,
            max_dbs=len(Table),
            max_readers=MAX_READERS,
        )
        # Writers, of which there are many at once, need their start to be quick.
        if readonly and cut_short(self._env, path):
            raise LedgerError(
                f"{path}: data.mdb is cut short and cannot be read; put a backup in its place,"
                " or move the folder away to begin a new ledger"
            )
        self.meta, self._tables = self._prepare()
        self._files = self._identity()

    def _prepare(self) -> tuple[Meta, dict[Table, lmdb._Database]]:
        env = self._env
        try:
            env.reader_check()
            if self.readonly:
                # Handles outlive only a commit, and a read transaction at hand never commits.
                tables = {t: env.open_db(t.encode(), create=False) for t in Table}
            with self._begin(write=not self.readonly) as txn:
                if not self.readonly:
                    # Without the transaction at hand open_db would wait for it for ever.
                    tables = {t: env.open_db(t.encode(), txn=txn) for t in Table}
                known = txn.get(META_KEY, db=tables[Table.META])
                if known is None:
                    meta = Meta(secrets.token_hex(16), secrets.token_bytes(32))
                    tx = Transaction(txn, tables)
                    tx.add(Table.META, META_KEY, dump_meta(meta))
                    tx.add(Table.META, LAST_TURN, pack_number(0))
                    return meta, tables
                return load_meta(bytes(known)), tables
        except WrongFormat as error:
            raise LedgerError(
                f"{self.path}: the ledger has {error}; use the raftsup that wrote it, or move the"
                " folder away to begin a new ledger (queued turns stay in the old one)"
            ) from error
        except lmdb.Error as error:
            if self.readonly:
                raise LedgerError(f"{self.path}: not a ledger of raftsup: {error}") from error
            raise self._unavailable(error) from error

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """One consistent tx. Raises ``LedgerError``."""
        with self._mine():
            try:
                with self._begin(write=False) as txn:
                    yield Transaction(txn, self._tables)
            except lmdb.Error as error:
                raise LedgerError(f"{self.path}: cannot read the ledger: {error}") from error
            except WrongFormat as error:
                raise LedgerError(f"{self.path}: a record has {error}") from error

    @contextlib.contextmanager
    def write(self, *, grows: bool = False) -> Iterator[Transaction]:
        """One transaction, on disk when the block is left; an exception leaves no trace of it.

        ``grows``: a new wake, to be refused while there is still room for what is owed already.
        Raises ``LedgerUnavailable`` when the disk or the map cannot take it, or another writer does
        not end.
        """
        if self.readonly:
            raise LedgerError(f"{self.path}: the ledger was opened for reading only")
        if not self.current:
            # What is written into a file without a name is lost with the last who has it open.
            raise LedgerUnavailable(
                f"{self.path}: the ledger was removed or replaced while it was in use, {_GONE}",
                30_000,
                lasting=True,
            )
        with self._mine():
            pass  # before it waits
        with self._turn(), self._mine():
            try:
                with self._begin(write=True) as txn:
                    tx = Transaction(txn, self._tables)
                    if grows and self.full(tx):
                        raise lmdb.MapFullError("only the reserve is left")
                    yield tx
            except lmdb.Error as error:
                raise self._unavailable(error) from error
            except WrongFormat as error:
                raise LedgerError(f"{self.path}: a record has {error}") from error

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Be the one writer of all. LMDB's own lock waits without end, also for a process that a
        signal has stopped; and who waits for it keeps this process's readers waiting.
        """
        deadline = time.monotonic() + WRITE_WAIT_S
        if not self._writing.acquire(timeout=WRITE_WAIT_S):
            raise self._held_up()
        try:
            for wait in (_LOOK_S, max(deadline - time.monotonic(), 0.0)):
                if until(lambda: lockfile.try_own(self._gate), wait, _POLL_S):
                    break
                if self.stopped_writer():
                    raise self._held_up()
            else:
                raise self._held_up()
            try:
                yield
            finally:
                if self._gate >= 0:
                    lockfile.disown(self._gate)
        finally:
            self._writing.release()

    def stopped_writer(self) -> int | None:
        """The process that keeps all others from writing, since a signal has stopped it."""
        pid = lockfile.owner(self._gate)
        return pid if liveness.stopped(pid) else None

    def _held_up(self) -> LedgerUnavailable:
        if pid := self.stopped_writer():
            why = liveness.by_signal(pid, "its writer")
        else:
            why = f"pid {lockfile.owner(self._gate) or 'unknown'} writes and does not end"
        return LedgerUnavailable(f"{self.path}: the ledger cannot be written: {why}", 2_000)

    def _begin(self, *, write: bool) -> lmdb.Transaction:
        try:
            return self._env.begin(write=write)
        except lmdb.MapResizedError:
            # Another process was given a larger map size: follow it.
            self._env.set_mapsize(0)
        except lmdb.ReadersFullError:
            self._env.reader_check()
        return self._env.begin(write=write)

    def full(self, tx: Transaction, share: float = 1.0) -> bool:
        """Whether only the reserve is left, or ``share`` times as much."""
        info = self._env.info()
        size = self._env.stat()["psize"]
        room = info["map_size"] // size
        fixed = max(RESERVE_PAGES, room // RESERVE_SHARE)

        def reserve(turns: int) -> float:
            return share * (fixed + turns * GROWTH // size)

        # Pages that were never used say it without counting, and with all turns for those that may
        # still grow; else freed pages and owed turns have to be counted.
        most = reserve(tx.entries(Table.TURNS))
        if room - info["last_pgno"] >= most or (free := room - tx.pages()) >= most:
            return False
        counts = [load_stats(data).counts for _, data in tx.scan(Table.ACCOUNTS)]
        return free < reserve(sum(c.queued + c.running for c in counts))

    def _unavailable(self, error: lmdb.Error) -> LedgerUnavailable:
        if isinstance(error, lmdb.MapFullError):
            return LedgerUnavailable(
                f"{self.path}: the ledger is full: it may grow to {self._env.info()['map_size']}"
                " bytes. Let the queue drain, keep fewer ended turns (turns.keep), or raise"
                " ledger.mapSize and restart",
                30_000,
            )
        return LedgerUnavailable(
            f"{self.path}: the ledger cannot be written: {error}. Check the disk's free space and"
            " health",
            10_000,
            # After a failed write of its meta page LMDB refuses this environment for ever.
            lasting=isinstance(error, lmdb.PanicError),
        )

    @property
    def current(self) -> bool:
        return self._identity() == self._files

    def _identity(self) -> list[tuple[int, int]]:
        """The files that have the ledger's names now: two lock files would be two writers."""
        try:
            found = [(self.path / name).stat() for name in (_FILE, _LOCK)]
        except OSError:
            return []
        return [(info.st_dev, info.st_ino) for info in found]

    @contextlib.contextmanager
    def _mine(self) -> Iterator[None]:
        if self._pid != os.getpid():
            raise LedgerError(
                f"{self.path}: the ledger was opened by process {self._pid} and cannot be used in"
                f" {os.getpid()}: open it after the fork"
            )
        with self._lock:
            if self._closed:
                raise LedgerError(f"{self.path}: the ledger is closed")
            yield

    def fill(self) -> tuple[int, int]:
        """Bytes that hold something, and that it may grow to."""
        with self.read() as tx:
            page = self._env.stat()["psize"]
            return tx.pages() * page, self._env.info()["map_size"]

    def backup(self, file: Path) -> None:
        """A compact copy, as one file, 0600. Raises ``LedgerError``; never overwrites."""
        try:
            # Taking the name first makes the refusal certain, also between two backups.
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            raise LedgerError(
                f"{file}: cannot write a backup here: {error.strerror}; name a new file in a folder"
                " that this user can write to"
            ) from error
        folder = Path(tempfile.mkdtemp(prefix=".raftsup-backup-", dir=file.parent))
        try:
            with self._mine():
                self._env.copy(os.fspath(folder), compact=True)
            copy = folder / "data.mdb"
            copy.chmod(0o600)
            with copy.open("rb") as stream:
                os.fsync(stream.fileno())
            copy.replace(file)
        except BaseException as error:
            file.unlink(missing_ok=True)
            if isinstance(error, lmdb.Error | OSError):
                raise LedgerError(f"{file}: the backup failed: {error}") from error
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        # After a fork the environment is the parent's: its locks are not ours to give back.
        if self._pid == os.getpid():
            with self._lock:
                self._closed = True
                self._shut()

    def _shut(self) -> None:
        if hasattr(self, "_env"):
            self._env.close()
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1


def stopped_writer(path: Path) -> int | None:
    """The process that keeps all others from writing the ledger in folder ``path``, since a signal
    has stopped it. Not for a process that writes there.
    """
    try:
        gate = os.open(path / _GATE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        pid = lockfile.owner(gate)
    finally:
        os.close(gate)
    return pid if liveness.stopped(pid) else None
