"""Every way in which a pickle can lie or do harm: refused, by name, and never executed."""

from __future__ import annotations

import builtins
import os
import pickle
import struct
import subprocess

import numpy as np
import pytest

from tests.weights_convert.torch_toys import (
    MACHINE,
    Entry,
    Raw,
    archive,
    call,
    encode,
    legacy,
    named,
    program,
    state,
)
from weights_convert.checkpoint import open_checkpoint
from weights_convert.errors import CheckpointError
from weights_convert.formats.torch_pickle import ALLOWED

ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)
BYTES = {"0": ARRAY.tobytes()}
MARKER = "executed"


class Call:
    """Pickles to a call of a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def nested(inner):
    return {"model": [{"deep": (1, inner)}]}


EVIL = {
    "os.system": Call(os.system, f"touch {MARKER}"),
    "eval": Call(builtins.eval, f"open({MARKER!r}, 'w')"),
    "exec": Call(builtins.exec, f"open({MARKER!r}, 'w')"),
    "open": Call(builtins.open, MARKER, "w"),
    "subprocess.Popen": Call(subprocess.Popen, ["touch", MARKER]),
    "nested": nested(Call(os.system, f"touch {MARKER}")),
    "getattr": Call(builtins.getattr, Call(builtins.__import__, "os"), "system"),
}
SPELT = {"os.system": "posix.system", "nested": "posix.system", "open": "io.open"}


def refused(path, raw):
    """Open the file in its own folder; returns the message of the error."""
    path.write_bytes(raw)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("form", ["zip", "legacy", "plain", "hidden"])
@pytest.mark.parametrize("case", EVIL)
def test_malicious_pickles_are_refused_by_name(case, form, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = pickle.dumps(EVIL[case], protocol)
    raw = {
        "zip": lambda: archive(evil, {}),
        "legacy": lambda: legacy(evil, {}),
        "plain": lambda: evil,
        "hidden": lambda: legacy(state({}), {}) + evil,  # where the storages' keys should be
    }[form]()
    if form == "hidden":
        raw = raw.replace(program([]), evil)
    message = refused(tmp_path / "x.bin", raw)
    name = SPELT.get(case, case if "." in case else f"builtins.{case}")
    if protocol < 3:  # which Python 2 could also read
        name = name.replace("builtins", "__builtin__").replace("subprocess", "commands")
    assert name in message
    assert "refused unread" in message
    assert not (tmp_path / MARKER).exists()


@pytest.mark.parametrize(
    "text",
    [
        "torch.hub load",
        "torch load",
        "torch._utils _rebuild_tensor_v2.__globals__",
        "torch.nn.modules.linear Linear",
        "collections defaultdict",
        "numpy.core.multiarray _reconstruct",
        "torch._utils _rebuild_qtensor",
        "torch ComplexFloatStorage",
    ],
)
def test_other_globals_are_refused_even_if_harmless(text, tmp_path):
    pickled = program({"a": named(text)})
    message = refused(tmp_path / "x.bin", archive(pickled, {}))
    assert text.replace(" ", ".", 1) in message


def test_all_that_is_refused_is_named(tmp_path):
    both = program([named("os system"), named("builtins eval"), Raw(b"i" + b"posix\nkill\n")])
    message = refused(tmp_path / "x.bin", archive(both, {}))
    for name in ("os.system", "builtins.eval", "posix.kill"):
        assert name in message
    broken = both[:-10]  # a program that breaks off was still up to something
    assert "os.system" in refused(tmp_path / "x.bin", archive(broken, {}))
    many = program([named(f"module{i} name") for i in range(50)])
    assert "and 40 more" in refused(tmp_path / "x.bin", archive(many, {}))


def test_names_from_the_stack_are_followed(tmp_path):
    """By way of the memo, and where the scan cannot tell, the reader itself refuses."""
    memo = Raw(encode("os") + b"\x94" + encode("system") + b"\x94" + b"00h\x00h\x01\x93")
    assert "os.system" in refused(tmp_path / "x.bin", archive(program(memo), {}))
    trick = Raw(encode("os") + encode("system") + encode("torch") + encode("float32") + b"00\x93")
    message = refused(tmp_path / "x.bin", archive(program(trick), {}))
    assert "instructions POP" in message
    twisted = Raw(encode(("os", "torch")) + encode("float32") + b"\x93")
    message = refused(tmp_path / "x.bin", archive(program(twisted), {}))
    assert "a global whose name is not text" in message


def test_the_allow_list_is_short_and_calls_nothing_of_others():
    modules = {module for module, _ in ALLOWED}
    assert modules == {"collections", "torch", "torch._utils", "torch.cuda", "torch.storage"}
    for value in ALLOWED.values():
        build = getattr(value, "build", None)
        assert build is None or build.__module__ == "weights_convert.formats.torch_pickle"


def tensor(**lies):
    return state({"a": Entry(ARRAY, **lies)})


def one(value):
    return state({"a": value})


MALFORMED = {
    "empty": (b"", "breaks off: expected 1 more bytes at 0"),
    "no pickle": (b"\x00" * 64, "not a pickle instruction"),
    "safetensors": (struct.pack("<Q", 2) + b"{}", "not a pickle instruction"),
    "a tar archive": (b"pickle" + bytes(600), "breaks off"),
    "another pickle": (program({"a": 1}), "magic number"),
    "another number": (legacy(state({}), {}, magic=1), "magic number"),
    "another version": (legacy(state({}), {}, version=1000), "expected version 1001"),
    "big-endian": (
        legacy(state({}), {}, machine={**MACHINE, "little_endian": False}),
        "expected little-endian",
    ),
    "big-endian zip": (archive(tensor(), BYTES, byteorder=b"big"), "byteorder b'big'"),
    "no machine": (legacy(state({}), {}, machine=[]), "expected little-endian"),
    "a list": (archive(program([1]), {}), "a dictionary of tensors, found a list"),
    "a module": (archive(one({}), {}), "found a dict under 'a'; save model.state_dict"),
    "a number": (archive(one(1.5), {}), "found a float under 'a'"),
    "a function": (archive(one(named("collections OrderedDict")), {}), "found a constructor"),
    "a key of a number": (archive(state({1: 2}), {}), "a key that is not text"),
    "no pickle inside": (archive(tensor(), BYTES).replace(b"data.pkl", b"data.txt"), "found 0"),
    "a storage missing": (archive(tensor(), {}), "storage '0' is missing"),
    "a storage short": (archive(tensor(), {"0": bytes(40)}), "expected 48 bytes in storage"),
    "a storage long": (archive(tensor(), {"0": bytes(50)}), "expected 48 bytes in storage"),
    "beyond the storage": (archive(tensor(offset=1), BYTES), "beyond its storage"),
    "beyond by strides": (archive(tensor(strides=(5, 1)), BYTES), "beyond its storage"),
    "negative offset": (archive(tensor(offset=-1), BYTES), "natural numbers"),
    "negative stride": (archive(tensor(strides=(-4, 1)), BYTES), "natural numbers"),
    "a shape of floats": (archive(tensor(shape=(3.0, 4)), BYTES), "natural numbers"),
    "a shape of bools": (archive(tensor(shape=(True, 4)), BYTES), "natural numbers"),
    "a shape no tuple": (archive(tensor(shape=[3, 4]), BYTES), "natural numbers"),
    "more strides": (archive(tensor(strides=(4, 1, 1)), BYTES), "2 axes and 3 strides"),
    "many axes": (archive(tensor(shape=(1,) * 33, strides=(1,) * 33), BYTES), "33 axes"),
    "expanded without end": (
        archive(tensor(shape=(2**40,), strides=(0,)), BYTES),
        "much larger than its storage",
    ),
    "overflowing": (archive(tensor(shape=(2**58, 2**58), strides=(0, 0)), BYTES), "of shape"),
    "an integer too large": (archive(tensor(offset=2**2000), BYTES), "natural numbers"),
    "storage of negative length": (archive(tensor(items=-1), BYTES), "without a length"),
    "storage of no length": (archive(tensor(items=None, key="0"), BYTES)[:-5], "zip archive"),
    "storage of text length": (archive(tensor(items="12"), BYTES), "without a length"),
    "storage of a dtype": (archive(tensor(dtype="float32"), BYTES), "without type or key"),
    "a tensor of nothing": (
        archive(
            one(call("torch._utils _rebuild_tensor_v2", 1, 2, 3, 4)),
            {},
        ),
        "without a storage",
    ),
    "a tensor of too little": (
        archive(one(call("torch._utils _rebuild_tensor_v2")), {}),
        "damaged before byte",
    ),
    "a parameter of nothing": (
        archive(one(call("torch._utils _rebuild_parameter", 1, 2, 3)), {}),
        "without a tensor",
    ),
    "a call of a number": (archive(one(Raw(encode(1) + b")R")), {}), "cannot be called"),
    "a state of a list": (archive(one(Raw(b"]}b")), {}), "attributes of something other"),
    "items of a tuple": (archive(one(Raw(b")Na")), {}), "items for something other than a list"),
    "items of a number": (
        archive(one(Raw(b"K\x01NNs")), {}),
        "items for something other than",
    ),
    "no mark": (archive(b"\x80\x02t.", {}), "damaged before byte"),
    "an empty stack": (archive(b"\x80\x02\x85.", {}), "the stack is empty"),
    "nothing": (archive(b".", {}), "damaged before byte"),
    "no end": (archive(b"\x80\x02N", {}), "breaks off"),
    "no memo": (archive(b"\x80\x02h\x07.", {}), "damaged before byte"),
    "another persistent id": (archive(one(Raw(b"NQ")), {}), "not a storage"),
    "a module's source": (archive(one(Raw(encode(("module", 1, 2, 3, 4)) + b"Q")), {}), "'module'"),
    "half a surrogate": (archive(state({"\ud800": Entry(ARRAY)}), BYTES), "damaged before byte"),
    "another's instruction": (archive(b"\x80\x02I1\n.", {}), "instructions INT"),
    "a long name": (archive(b"\x80\x02c" + b"a" * 2000 + b"\nb\n.", {}), "more than 1000 bytes"),
    "a long text": (archive(b"\x80\x02X\xff\xff\xff\xff.", {}), "item of 4294967295 bytes"),
    "keys missing": (legacy(state({"a": Entry(ARRAY)}, True), {}), "not that of the tensors"),
    "keys twice": (
        legacy(state({"a": Entry(ARRAY)}, True), BYTES, keys=["0", "0"]),
        "not that of the tensors",
    ),
    "keys of numbers": (legacy(state({}), {}, keys=[0]), "a list of the storages' keys"),
    "another count": (
        legacy(state({"a": Entry(ARRAY)}, True), BYTES, counts=[11]),
        "expected 12 items in storage 0, found 11",
    ),
    "a rest": (legacy(state({"a": Entry(ARRAY)}, True), BYTES) + b"!", "the file is damaged"),
    "truncated": (legacy(state({"a": Entry(ARRAY)}, True), BYTES)[:-1], "the file is damaged"),
    "two descriptions": (
        legacy(state({"a": Entry(ARRAY), "b": Entry(ARRAY, items=13)}, True), BYTES),
        "has two descriptions",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_is_named_with_its_fault(case, tmp_path):
    raw, message = MALFORMED[case]
    path = tmp_path / "x.bin"
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_checkpoint(path)
    assert str(path) in str(caught.value)
