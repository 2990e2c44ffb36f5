"""One input: accepted rightly, refused as documented, or a fault."""

from __future__ import annotations

import builtins
import contextlib
import dis
import importlib
import re
import resource
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.paths import ROOT

__all__ = ["MEMORY", "SECONDS", "Prepared", "Verdict", "WrongError", "check", "judge", "limited"]

SECONDS = 20
MEMORY = 2 * 2**30
_LONGEST_MESSAGE = 10_000
_PRODUCT = tuple(f"{ROOT / name}/" for name in ("tfzoo", "weights_convert"))
# Control characters but line ends, marks that turn the direction of writing, halves of characters.
_UNSAFE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_HOMES = {
    "CheckpointError": "weights_convert.errors",
    "ConfigError": "tfzoo.core.config",
    "DataError": "tfzoo.data.errors",
    "HubError": "tfzoo.hub",
    "HubFileNotFoundError": "tfzoo.hub",
    "ImageError": "tfzoo.io.errors",
    "RegionFeatureError": "tfzoo.data.regions.features",
    "TokenizerError": "tfzoo.text.files",
    "UsageError": "weights_convert.errors",
    "VideoError": "tfzoo.io.errors",
    "WeightMismatchError": "weights_convert.errors",
}


class WrongError(AssertionError):
    """Something was accepted that is not right."""


def check(holds: bool, what: str) -> None:
    """Raise unless it holds.

    Raises:
        WrongError: It does not.
    """
    if not holds:
        raise WrongError(what)


class Prepared(NamedTuple):
    """A reader, ready to read.

    Attributes:
        read: Reads a folder, and uses what it got as far as errors are documented for.
        check: Raises where what `read` returned is not right.
        documented: The functions whose docstrings name the types that `read` may raise.
    """

    read: Callable[[Path], Any]
    check: Callable[[Any], None]
    documented: Sequence[Any]


@dataclass(frozen=True)
class Verdict:
    """What became of an input.

    Attributes:
        kind: "accepted", "refused" or "fault".
        type: Of the exception.
        place: Its innermost file and line in the product, else anywhere.
        text: The message, shortened.
    """

    kind: str
    type: str = ""
    place: str = ""
    text: str = ""

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def judge(prepared: Prepared, folder: Path) -> Verdict:
    """Read a folder and say what became of it."""
    allowed = documented_types(prepared.documented)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = prepared.read(folder)
        except allowed as error:
            return _refusal(error)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a library's panic is one
            return _fault(error)
        try:
            prepared.check(value)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return _fault(error)
    return Verdict("accepted")


def documented_types(functions: Sequence[Any]) -> tuple[type[BaseException], ...]:
    """The exceptions in the `Raises` of docstrings."""
    names: set[str] = set()
    for function in functions:
        section = re.search(r"\bRaises:\n(.*?)(?:\n\s*\n|\Z)", function.__doc__ or "", re.DOTALL)
        names |= set(re.findall(r"^\s+(\w+): ", section[1], re.MULTILINE) if section else ())
    found = [_type(name) for name in sorted(names)]
    return tuple(cls for cls in found if cls is not None)


def _type(name: str) -> type[BaseException] | None:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    found = getattr(builtins, name, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _refusal(error: BaseException) -> Verdict:
    """A documented error: deliberate, short, and fit for a terminal."""
    text, kind = str(error), type(error).__name__
    if type(error).__module__ == "builtins" and not _is_deliberate(error):
        return _fault(error, f"{kind}, not raised on purpose")
    if len(text) > _LONGEST_MESSAGE:
        return _fault(error, f"{kind} of more than {_LONGEST_MESSAGE} characters")
    if _UNSAFE.search(text):
        return _fault(error, f"{kind} with control characters")
    return Verdict("refused", kind, _place(error), _short(text))


def _is_deliberate(error: BaseException) -> bool:
    """Whether the product itself raises it, rather than something that it calls."""
    if isinstance(error, FileNotFoundError):  # which nothing else can mean
        return True
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    code = last.tb_frame.f_code
    is_raise = dis.opname[code.co_code[last.tb_lasti]] == "RAISE_VARARGS"
    return is_raise and code.co_filename.startswith(_PRODUCT)


def _fault(error: BaseException, kind: str = "") -> Verdict:
    return Verdict("fault", kind or type(error).__name__, _place(error), _short(str(error)))


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(_PRODUCT)]
    frame = (own or frames)[-1]
    name = frame.filename.removeprefix(f"{ROOT}/")
    return f"{'/'.join(name.split('/')[-4:])}:{frame.lineno}"


def _short(text: str) -> str:
    return ascii(text[:300])[1:-1]


@contextlib.contextmanager
def limited(size: int = MEMORY) -> Iterator[None]:
    """Let the process map no more than this many bytes beyond what it has now."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
