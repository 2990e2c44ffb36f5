"""What the commands share: messages, progress, types of arguments, a quiet start of TensorFlow."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from tfzoo.core.quiet import start_keras
from tfzoo.core.untrusted import escaped
from tfzoo.hub import HubOptions
from weights_convert.console import add_hub_options, show, show_json
from weights_convert.errors import UsageError

__all__ = [
    "Progress",
    "UsageError",
    "add_hub_options",
    "check_setting",
    "hub_options",
    "note",
    "positive",
    "probability",
    "show",
    "show_json",
    "start_keras",
]


def note(message: str) -> None:
    """Print a message on stderr, above any progress bar; stdout is kept for results."""
    from tqdm import tqdm

    tqdm.write(escaped(f"tfzoo: {message}"), file=sys.stderr)


def positive(text: str) -> int:
    """The type of an argument that must be a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def probability(text: str) -> float:
    """The type of an argument that must be a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return value


def check_setting(option: str, name: str, value: Any) -> None:
    """Refuse what a task would refuse, by the name of the option that gave it."""
    from tfzoo.tasks.settings import checked

    try:
        checked(name, value)
    except ValueError as error:
        raise UsageError(str(error).replace(name, option, 1)) from None


class Progress:
    """The steps of a command: a bar where stderr is a terminal, and the seconds that each took.

    Args:
        **steps: Name of each step in `seconds`, and its words on the bar, in order.
    """

    def __init__(self, **steps: str) -> None:
        self.seconds: dict[str, float] = {}
        self._steps = steps

    def __enter__(self) -> Progress:
        from tqdm import tqdm

        # disable=None: silent unless stderr is a terminal.
        self._bar = tqdm(total=len(self._steps), unit="step", disable=None, leave=False)
        self._bar.set_description(escaped(next(iter(self._steps.values()))))
        self._last = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._end_step()
        self._bar.close()

    def next(self) -> None:
        """End the current step and begin the next one."""
        self._end_step()
        self._bar.update()
        self._bar.set_postfix_str("")
        self._bar.set_description(escaped(list(self._steps.values())[len(self.seconds)]))

    def detail(self, text: str) -> None:
        """Show how far the current step is."""
        self._bar.set_postfix_str(text)

    def clear(self) -> None:
        """Take the bar away until the next change, so that lines can be printed."""
        self._bar.clear()

    def _end_step(self) -> None:
        now = time.perf_counter()
        self.seconds[list(self._steps)[len(self.seconds)]] = round(now - self._last, 3)
        self._last = now


def hub_options(args: argparse.Namespace) -> HubOptions:
    """Where to look a checkpoint up, by the arguments of `add_hub_options`."""
    return HubOptions(args.revision, args.cache_dir, args.offline)
