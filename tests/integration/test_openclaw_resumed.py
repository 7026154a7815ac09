"""A run of the OpenClaw runner whose Gateway was restarted: resumed, cut off, or over meanwhile."""

from __future__ import annotations

import time
from dataclasses import replace

from raftsup.paths import StateDir
from raftsup.runners.openclaw import reconcile
from raftsup.runners.openclaw.reconcile import Handle
from raftsup.turn import Outcome, OutcomeKind
from tests.integration.fake_gateway import Manner
from tests.integration.openclaw_table import (
    QUICK,
    SESSION,
    SUCCEEDED,
    begun,
    laid,
    play,
    ride,
    until,
)

GONE = Outcome(
    OutcomeKind.INTERRUPTED, "the Gateway restarted under the run and does not resume it"
)


def test_a_resumed_run_is_the_turns_and_no_other_is_begun(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True)) as table:
            riding = ride(table.seat(), table.work())
            await begun(table)
            await table.fake.restart(resumes=True)
            looked = len(table.fake.said("tasks.list"))
            await until(lambda: len(table.fake.said("tasks.list")) > looked + 1)
            again = table.fake.resume(SESSION, "resumed-1")
            await until(lambda: {"runId": "resumed-1", "timeoutMs": 500} in (
                table.fake.said("agent.wait")))  # fmt: skip
            table.fake.end(again, text="after all")
            assert await riding.outcome() == SUCCEEDED
            assert len(table.fake.said("agent")) == 1
            assert table.said() == "after all"

    play(story())


def test_a_session_that_the_gateway_spells_in_its_own_way_is_found_again(
    state: StateDir,
) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True)) as table:
            riding = ride(table.seat(session_key="Desk"), table.work())
            await begun(table)
            await table.fake.restart(resumes=True)
            again = table.fake.resume("agent:main:desk", "resumed-1")
            table.fake.end(again)
            assert await riding.outcome() == SUCCEEDED
            assert len(table.fake.said("agent")) == 1

    play(story())


def test_a_wait_that_comes_back_at_once_is_no_reason_to_hammer(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True, hasty=True)) as table:
            riding = ride(table.seat(), table.work())

            def waits() -> int:
                return sum(asked["timeoutMs"] > 0 for asked in table.fake.said("agent.wait"))

            await begun(table)
            before, since = waits(), time.monotonic()
            await until(lambda: waits() >= before + 4)
            lasted = time.monotonic() - since
            table.fake.end(table.fake.only_run())
            assert await riding.outcome() == SUCCEEDED
            assert lasted >= 3 * QUICK.look  # between four: how many went before is luck

    play(story())


def test_a_run_that_a_restart_cut_off_for_good_is_owed_again(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True)) as table:
            riding = ride(table.seat(), table.work())
            await begun(table)
            await table.fake.restart()
            assert await riding.outcome() == GONE
            assert len(table.fake.said("agent")) == 1

    play(story())


def test_a_turn_that_never_came_to_the_gateway_does_not_pass_for_the_one_before(
    state: StateDir,
) -> None:
    async def story() -> None:
        async with laid(state) as table:
            seat = table.seat()
            assert await ride(seat, table.work()).outcome() == SUCCEEDED
            # Its handle was written down, and both died before it was asked for.
            lost = reconcile.pack(Handle("raftsup-8-2-lost", "boot-0", SESSION))
            assert await ride(seat, table.work(lost, number=8)).outcome() == GONE
            assert table.fake.begun.total() == 1

    play(story())


def test_a_run_that_was_written_down_for_one_boot_is_not_asked_of_another(
    state: StateDir,
) -> None:
    async def story() -> None:
        async with laid(state) as table:
            seat = table.seat()

            async def slowly(handle: str) -> None:
                await table.fake.restart()
                await until(lambda: table.fake.connections >= 2 and not seat.unavailable())

            work = replace(table.work(), remember=slowly)
            assert await ride(seat, work).outcome() == GONE
            assert not table.fake.said("agent")

    play(story())


def test_a_run_that_ended_while_nobody_could_watch_has_its_outcome(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True)) as table:
            riding = ride(table.seat(), table.work())
            await begun(table)
            await table.fake.stop()
            table.fake.end(table.fake.only_run())
            await table.fake.restart()
            assert await riding.outcome() == SUCCEEDED
            assert "could not watch" in table.said()

    play(story())
