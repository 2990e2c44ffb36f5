"""What the commands share: messages, progress, types of arguments, a quiet start of TensorFlow."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator

from tfzoo.core.untrusted import escaped
from tfzoo.hub import HubOptions
from weights_convert.console import add_hub_options, show, show_json
from weights_convert.errors import UsageError

__all__ = [
    "Progress",
    "UsageError",
    "add_hub_options",
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


def start_keras() -> None:
    """Import Keras and start its backend.

    TensorFlow's start-up messages are held back unless `TF_CPP_MIN_LOG_LEVEL` is set.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        quiet: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    else:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
        quiet = _held_back_stderr()
    with quiet:
        import keras

        # The first operation logs the devices; the first one on 64-bit integers logs what the
        # processor lacks.
        keras.ops.transpose(keras.ops.zeros((1, 1), "int64"))


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
    """Keep what is written to file descriptor 2, and show it only if the block fails.

    Recent releases of TensorFlow log at start-up before they look at any setting.
    """
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            kept.seek(0)
            os.write(original, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
