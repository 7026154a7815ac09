"""Trying raftsup on a simulated Raft."""

from __future__ import annotations

from raftsup.cli.arguments.adder import Adder
from raftsup.sim import main as sim


def add(add: Adder) -> None:
    demo = add("demo", "demo", "the main job on a simulated Raft, with kills in between",
               "raftsup demo")  # fmt: skip
    demo.add_argument("--messages", type=int, default=12, metavar="N",
                      help="messages to send (default 12)")  # fmt: skip
    simulator = add.bare(
        "sim", "a simulated Raft workspace to try against", "raftsup sim --agent support"
    )
    sim.add_arguments(simulator)
    simulator.set_defaults(run=sim.run)
