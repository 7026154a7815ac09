"""Caring for a host: what is wrong, what is known of one account, and is all well."""

from __future__ import annotations

from raftsup.cli.arguments.adder import Adder


def add(add: Adder) -> None:
    doctor = add("doctor", "doctor", "what is wrong, why it matters and what mends it",
                 "raftsup doctor\nraftsup doctor --fix\n"
                 "raftsup doctor --json | jq -r '.findings[] | select(.mend != \"\") | .mend'",
                 config=True)  # fmt: skip
    doctor.add_argument("--fix", action="store_true",
                        help="mend what is safe: our files' modes, what the dead left")  # fmt: skip
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    inspect = add("inspect", "inspect", "all that is known of an account, secrets masked",
                  "raftsup inspect support", config=True)  # fmt: skip
    inspect.add_argument("account")
    inspect.add_argument("--json", action="store_true", help="print one JSON object")
    health = add("health", "health", "one line and an exit code, for monitors: 0 all accounts are"
                 " ready, 3 one is not, 4 no host runs, 7 not to be looked into", "raftsup health\n"
                 "raftsup health --json | jq -r .worst.account", config=True)  # fmt: skip
    health.add_argument("--json", action="store_true", help="print one JSON object")
