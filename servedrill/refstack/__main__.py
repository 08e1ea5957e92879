"""``python -m servedrill.refstack --config FILE [ROLE NAME]``: one process of the stack, or its supervisor."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import msgspec

from servedrill.refstack.config import Stack, read_stack
from servedrill.refstack.policies import BadDefect, Policies

ROLES = ("supervisor", "engine", "gateway", "dns", "alerts", "rollouts")


def main() -> int:
    """The exit status; 4, with one line on stderr, for a file or a defect that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m servedrill.refstack", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the stack as JSON, see servedrill.refstack.config")
    parser.add_argument(
        "role",
        nargs="?",
        choices=ROLES,
        default="supervisor",
        help="which process (default: supervisor, which starts the others)",
    )
    parser.add_argument("name", nargs="?", default="", help="which one of that role")
    args = parser.parse_args()
    try:
        stack = read_stack(args.config)
        if args.role == "supervisor":
            Policies(stack.defects)
    except (OSError, msgspec.DecodeError, BadDefect) as error:
        print(f"refstack: {args.config}: {error}", file=sys.stderr)
        return 4
    return run(stack, args.role, args.name)


def run(stack: Stack, role: str, name: str) -> int:
    """Run one process of the stack to its end; its exit status."""
    match role:
        case "engine":
            from servedrill.refstack.engine.main import main as engine

            return engine(stack, name)
        case "gateway":
            from servedrill.refstack.gateway.main import main as gateway

            return gateway(stack, name)
        case "dns":
            from servedrill.refstack.control.dns import main as dns

            return dns(stack)
        case "alerts":
            from servedrill.refstack.control.alerts import main as alerts

            return alerts(stack)
        case "rollouts":
            from servedrill.refstack.control.rollout import main as rollouts

            return rollouts(stack)
        case _:
            from servedrill.refstack.control.supervisor import main as supervisor

            return supervisor(stack, partial(run, stack))


if __name__ == "__main__":
    sys.exit(main())
