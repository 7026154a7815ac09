"""A transcript keeps the beginning and the end, within its limit."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.runners.transcript import Bounded, TranscriptBusy, is_free, open_locked


def written(chunks: list[bytes], limit: int) -> bytes:
    with tempfile.TemporaryFile() as file:
        bounded = Bounded(file.fileno(), limit)
        for chunk in chunks:
            bounded.write(chunk)
        bounded.close()
        return os.pread(file.fileno(), 1 << 20, 0)


@given(st.lists(st.binary(max_size=40)), st.integers(1, 64))
def test_what_fits_is_kept_whole_and_of_the_rest_both_ends(chunks: list[bytes], limit: int) -> None:
    whole, text = b"".join(chunks), written(chunks, limit)
    if len(whole) <= limit:
        assert text == whole
        return
    over = len(whole) - limit
    head, tail = whole[: limit // 2], whole[-(limit - limit // 2) :]
    assert text == head + b"\n[... %d bytes left out ...]\n" % over + tail


def test_what_is_held_back_of_an_endless_stream_is_bounded() -> None:
    descriptor = os.open(os.devnull, os.O_WRONLY)
    bounded = Bounded(descriptor, 1000)
    for _ in range(1000):
        bounded.write(b"x" * 100)
        assert len(bounded._tail) <= 1000 + 100
    os.close(descriptor)


def test_a_transcript_is_private_and_locked_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "1.1.log"
    lock = open_locked(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not is_free(path)
    with pytest.raises(TranscriptBusy):
        open_locked(path)
    os.close(lock)
    assert is_free(path)
