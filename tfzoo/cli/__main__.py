"""The `tfzoo` command.

Exit codes: 0 success, 1 an error, which is described in one line on stderr, 2 wrong usage.
`TFZOO_DEBUG=1` shows the traceback of an error.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import tfzoo
from tfzoo.cli import convert, demo, export, listing, predict, train, val, verify
from tfzoo.cli.console import UsageError, note

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments; those of the process if None.

    Returns:
        The exit code.

    Example:
        >>> main(["--version"])
        tfzoo 0.1.0
        0
    """
    _open_streams()
    try:
        args = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed what it had to say
        return int(stop.code or 0)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its warnings are for programmers
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return _run(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfzoo", description="Video and vision-language models for TensorFlow."
    )
    parser.add_argument("--version", action="version", version=f"tfzoo {tfzoo.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (predict, demo, train, val, convert, export, verify, listing):
        command.add_to(commands)
    return parser


def _open_streams() -> None:
    """Open what the shell has closed (`>&-`), or the next file would take its number."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - closed with the process


def _run(args: argparse.Namespace) -> int:
    """Run the chosen command and turn every exception into an exit code."""
    try:
        args.run(args)
        sys.stdout.flush()
    except UsageError as error:
        note(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        note("interrupted")
        return 130  # what shells expect after Ctrl-C
    except BrokenPipeError:  # e.g. `tfzoo list | head -1`
        _give_up_output()
        return 1
    except Exception as error:
        if os.environ.get("TFZOO_DEBUG") == "1":
            raise
        note(f"error: {_in_one_line(error)}")
        _give_up_output()
        return 1
    return 0


def _give_up_output() -> None:
    """Leave nothing that the process would fail to write when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _in_one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    more = " (TFZOO_DEBUG=1 shows all)" if len(lines) > 1 else ""
    if isinstance(error, (OSError, ValueError)):  # all of ours are, and explain themselves
        return lines[0] + more
    return f"unexpected {type(error).__name__}: {lines[0]} (TFZOO_DEBUG=1 shows where)"


def _show_warning(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    note(f"warning: {message}")


if __name__ == "__main__":
    sys.exit(main())
