"""Pickles read without executing anything.

A pickle is a program that may name any function of any module. Here its instructions only ever
build numbers, texts, lists, dictionaries, and what an allow-list holds under the name of a
global; nothing is imported and nothing is called that is not written down in this package.
Before the first instruction runs, `scan` has read them all and refused every global that is not
on the list.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tfzoo.core.untrusted import escaped
from weights_convert.errors import CheckpointError

__all__ = ["ByteSource", "Constructor", "Global", "run", "scan"]

Global = tuple[str, str]

_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_MAX_OPCODES = 500_000  # some 14,000 tensors; bounds time and memory, whatever a file says
_MAX_WORK = 1_000_000  # items of the arguments of all calls, which share their items
_MAX_TEXT = 10_000_000
_MAX_LINE = 1000
_BLOCK = 2**16
_SHOWN = 10


@dataclass(frozen=True)
class Constructor:
    """What may be called under the name of a global.

    Args:
        build: takes the arguments in the pickle, returns a value; raises ValueError.
    """

    build: Callable[..., Any]


class ByteSource:
    """Bytes of a file from a position on, read in blocks, never beyond an end.

    Args:
        read: returns bytes, given position and length.
        begin: position of the first byte.
        end: position behind the last.

    Example:
        >>> ByteSource(lambda at, n: b"abc"[at : at + n], 1, 3).take(2)
        b'bc'
    """

    def __init__(self, read: Callable[[int, int], bytes], begin: int, end: int) -> None:
        self._read, self._end = read, end
        self._block, self._block_at, self._at = b"", begin, 0

    @property
    def position(self) -> int:
        """Position of the next byte in the file."""
        return self._block_at + self._at

    def take(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            CheckpointError: fewer are left.
        """
        stop = self._at + size
        if stop > len(self._block):
            self._load(size)
            stop = size
        value = self._block[self._at : stop]
        self._at = stop
        return value

    def line(self) -> str:
        """Return the text up to the next line feed, and take that as well.

        Raises:
            CheckpointError: no line feed follows, or it is too far.
        """
        size = min(_MAX_LINE + 1, self._end - self.position)
        if self._at + size > len(self._block):
            self._load(size)
        stop = self._block.find(b"\n", self._at, self._at + size)
        if stop < 0:
            if size > _MAX_LINE:
                raise CheckpointError(f"a name of more than {_MAX_LINE} bytes")
            raise CheckpointError(f"the pickle breaks off: expected a line end before {self._end}")
        line = self.take(stop + 1 - self._at)[:-1]
        return line.decode("utf-8", "backslashreplace")

    def _load(self, size: int) -> None:
        position = self.position
        if position + size > self._end:
            raise CheckpointError(
                f"the pickle breaks off: expected {size} more bytes at {position}, the end is at "
                f"{self._end}"
            )
        self._block = self._read(position, min(max(size, _BLOCK), self._end - position))
        self._block_at, self._at = position, 0


def scan(source: ByteSource, allowed: Collection[Global]) -> None:
    """Read the instructions of a pickle, up to its end, and run none.

    Args:
        source: at the pickle's first byte; afterwards behind its last.
        allowed: (module, name) of the globals that it may mention.

    Raises:
        CheckpointError: it mentions another one, has an instruction that no checkpoint needs,
            or is damaged.
    """
    refused: dict[str, None] = {}
    unknown: dict[str, None] = {}
    texts = _Texts()
    try:
        for name, argument in _instructions(source):
            found = texts.follow(name, argument)
            if found is not None and found not in allowed:
                refused[".".join(found)] = None
            if name not in _STEPS and name != "STOP":
                unknown[name] = None
    except CheckpointError:
        if not refused:  # else what the pickle was about to do is the better message
            raise
    if refused:
        raise CheckpointError(
            f"the pickle names {_listed(refused)}, which a checkpoint of tensors does not need; "
            "refused unread, because it could run any program. Ask for a safetensors file."
        )
    if unknown:
        raise CheckpointError(
            f"the pickle has the instructions {_listed(unknown)}, which PyTorch does not write; "
            "refused unread."
        )


def run(
    source: ByteSource,
    known: Mapping[Global, Any],
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Build the value of a pickle that `scan` has passed.

    Args:
        source: at the pickle's first byte; afterwards behind its last.
        known: (module, name) -> what stands for that global; a `Constructor` may be called.
        persistent: makes the value of a persistent id; raises ValueError.

    Returns:
        The value.

    Raises:
        CheckpointError: the pickle is damaged, or does what is not foreseen.
    """
    machine = _Machine(known, persistent)
    name = "its first instruction"
    try:
        for name, argument in _instructions(source):
            if name == "STOP":
                return machine.pop()
            _STEPS[name](machine, argument)
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise CheckpointError(
            f"the pickle is damaged before byte {source.position}, at {name}: {error}"
        ) from error
    raise CheckpointError("the pickle has no end")


def _instructions(source: ByteSource) -> Iterator[tuple[str, Any]]:
    """Yield name and raw argument of each instruction, the end included."""
    for _ in range(_MAX_OPCODES):
        sign = source.take(1)
        opcode = _OPCODES.get(sign.decode("latin-1"))
        if opcode is None:
            raise CheckpointError(
                f"byte {source.position - 1} is {sign!r}, not a pickle instruction"
            )
        yield opcode.name, _argument(source, opcode)
        if opcode.name == "STOP":
            return
    raise CheckpointError(f"the pickle has more than {_MAX_OPCODES} instructions")


def _argument(source: ByteSource, opcode: pickletools.OpcodeInfo) -> Any:
    if opcode.arg is None:
        return None
    size = opcode.arg.n
    if opcode.name in ("GLOBAL", "INST"):
        return source.line(), source.line()
    if size == pickletools.UP_TO_NEWLINE:
        return source.line()
    if size >= 0:
        return source.take(size)
    width = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT8U: 8}.get(size, 4)
    length = int.from_bytes(source.take(width), "little")
    if length > _MAX_TEXT:
        raise CheckpointError(f"an item of {length} bytes in the pickle, more than {_MAX_TEXT}")
    return source.take(length)


def _listed(names: Mapping[str, None]) -> str:
    shown = escaped(", ".join(list(names)[:_SHOWN]))
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


class _Texts:
    """Which texts an instruction that takes a global's name from the stack will find."""

    def __init__(self) -> None:
        self.last: tuple[str, str] = ("?", "?")
        self.memo: dict[int, str] = {}

    def follow(self, name: str, argument: Any) -> Global | None:
        """Take note of an instruction, and return the global that it names, if any."""
        if name in ("GLOBAL", "INST"):
            return argument
        if name == "STACK_GLOBAL":
            return self.last
        if name in _TEXTS or name in ("UNICODE", "STRING"):
            text = argument if isinstance(argument, str) else argument.decode(errors="replace")
            self.last = self.last[1], text
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.last[1]
        elif name in _PUTS:
            self.memo[_unsigned(argument)] = self.last[1]
        elif name in _GETS:
            self.last = self.last[1], self.memo.get(_unsigned(argument), "?")
        return None


class _Machine:
    """The stack and the memo of a running pickle."""

    def __init__(
        self, known: Mapping[Global, Any], persistent: Callable[[Any], Any] | None
    ) -> None:
        self.known, self.persistent = known, persistent
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks below each mark
        self.memo: dict[int, Any] = {}
        self.work = 0

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise ValueError("the stack is empty")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise ValueError("items for something other than a list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise ValueError("items for something other than a dictionary")
        if not all(isinstance(key, str) for key in items[::2]):
            raise ValueError("a key that is not text")
        target.update(zip(items[::2], items[1::2], strict=True))

    def find(self, module: str, name: str) -> None:
        if (module, name) not in self.known:
            raise ValueError(f"{module}.{name} is refused")
        self.push(self.known[module, name])

    def find_on_stack(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("a global whose name is not text")
        self.find(module, name)

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Constructor) or not isinstance(arguments, tuple):
            raise ValueError("a call of what cannot be called")
        self.work += len(arguments)
        self.work += sum(len(a) for a in arguments if isinstance(a, (list, tuple, dict)))
        if self.work > _MAX_WORK:
            raise ValueError(f"calls with more than {_MAX_WORK} items in all")
        self.push(function.build(*arguments))

    def set_state(self) -> None:
        """Drop the attributes of a dictionary (`_metadata` of a state dict): nobody needs them."""
        state = self.pop()
        if type(self.stack[-1]) is not dict or type(state) is not dict:
            raise ValueError("attributes of something other than a dictionary")

    def load_persistent(self) -> None:
        if self.persistent is None:
            raise ValueError("a persistent id where none belongs")
        self.push(self.persistent(self.pop()))


def _unsigned(raw: bytes | str) -> int:
    return int.from_bytes(raw, "little") if isinstance(raw, bytes) else -1


def _signed(raw: bytes) -> int:
    return int.from_bytes(raw, "little", signed=True)


def _pushes(convert: Callable[[Any], Any]) -> Callable[[_Machine, Any], None]:
    return lambda machine, argument: machine.push(convert(argument))


_TEXTS = ("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING")
_PUTS = ("BINPUT", "LONG_BINPUT", "PUT")
_GETS = ("BINGET", "LONG_BINGET", "GET")

# The instructions that checkpoints need, of every protocol; a subset of what pickles can do.
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, argument: None,
    "FRAME": lambda machine, argument: None,
    "NONE": _pushes(lambda _: None),
    "NEWTRUE": _pushes(lambda _: True),
    "NEWFALSE": _pushes(lambda _: False),
    "BININT": _pushes(_signed),
    "BININT1": _pushes(_unsigned),
    "BININT2": _pushes(_unsigned),
    "LONG1": _pushes(_signed),
    "BINFLOAT": _pushes(lambda raw: struct.unpack(">d", raw)[0]),
    **dict.fromkeys(_TEXTS, _pushes(lambda raw: raw.decode())),
    "EMPTY_TUPLE": _pushes(lambda _: ()),
    "EMPTY_LIST": _pushes(lambda _: []),
    "EMPTY_DICT": _pushes(lambda _: {}),
    "MARK": lambda machine, _: machine.mark(),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "BINPUT": lambda machine, raw: machine.memo.__setitem__(_unsigned(raw), machine.stack[-1]),
    "LONG_BINPUT": lambda machine, raw: machine.memo.__setitem__(_unsigned(raw), machine.stack[-1]),
    "MEMOIZE": lambda machine, _: machine.memo.__setitem__(len(machine.memo), machine.stack[-1]),
    "BINGET": lambda machine, raw: machine.push(machine.memo[_unsigned(raw)]),
    "LONG_BINGET": lambda machine, raw: machine.push(machine.memo[_unsigned(raw)]),
    "GLOBAL": lambda machine, names: machine.find(*names),
    "STACK_GLOBAL": lambda machine, _: machine.find_on_stack(),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.set_state(),
    "BINPERSID": lambda machine, _: machine.load_persistent(),
}
