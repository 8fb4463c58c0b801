"""The pickle reader: real files come back whole, and nothing that a file asks for is run."""

import contextlib
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from helpers.threedpw_folder import python2_bytes, sequence_content

from kp_helpers.data import DataError
from kp_helpers.data.safe_pickle import LARGEST_FILE, load

PLAIN = {
    "arrays": [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3)),
        np.zeros((0, 3)),
        np.array([True, False]),
        np.array(["m", "fe"]),
        np.int16(-3),
    ],
    "text": "ü",
    "tuple": (None, True, 2**70, 1.5, b"\xff"),
}


def read(tmp_path, data: bytes):
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    return load(path)


def same(a, b) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype.kind == b.dtype.kind and np.array_equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("protocol", range(6))
def test_plain_content_comes_back(protocol, tmp_path):
    assert same(PLAIN, read(tmp_path, pickle.dumps(PLAIN, protocol)))


def test_a_python_2_file_comes_back(tmp_path):
    content = sequence_content("walk_00", people=2)
    data = python2_bytes(content)
    assert b"numpy.core.multiarray\n_reconstruct" in data and b"_codecs" not in data
    assert same(content, read(tmp_path, data))


def test_row_87_a_file_of_protocol_0_as_python_2_wrote_it_comes_back(tmp_path):
    """Written out by hand: 1.5 is 3ff8..., -2 is c000..., and 252 is latin1's u with two dots."""
    array = rb"""cnumpy.core.multiarray
_reconstruct
p2
(cnumpy
ndarray
p3
(I0
tp4
S'b'
p5
tp6
Rp7
(I1
(I2
tp8
cnumpy
dtype
p9
(S'f8'
p10
I0
I1
tp11
Rp12
(I3
S'<'
p13
NNNI-1
I-1
I0
tp14
bI00
S"\x00\x00\x00\x00\x00\x00\xf8?\x00\x00\x00\x00\x00\x00\x00\xc0"
p15
tp16
bs"""
    found = read(
        tmp_path, b"(dp0\nS'poses'\np1\n" + array + rb"S'name'" + b"\n" + rb"S'M\xfcller \'a\''" + b"\ns."
    )
    assert found["poses"].tolist() == [1.5, -2.0] and found["name"] == "Müller 'a'"
    for damaged in (b"S'a\n.", b"Sa\n.", b"S\n.", b"S'a'"):
        with pytest.raises(DataError, match="damaged"):
            read(tmp_path, damaged)


def test_arrays_are_ones_own_and_shared_values_stay_shared(tmp_path):
    array = np.arange(3.0)
    first, second = read(tmp_path, pickle.dumps([array, array], 2))
    assert first is second and first.flags.writeable and first.dtype.isnative


class Runs:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, "posix.system"),
        (eval, "__builtin__.eval"),
        (getattr, "__builtin__.getattr"),
        (np.load, "numpy.load"),
        (np.fromfile, "numpy.*fromfile"),
        (pickle.loads, ".*[pP]ickle.loads"),
    ],
)
def test_row_28_functions_are_refused_by_name(function, name, tmp_path):
    for protocol in (2, 4):
        wanted = name if protocol == 2 else name.replace("__builtin__", "builtins")
        with pytest.raises(DataError, match=f"a.pkl: asks for '{wanted}', which is refused"):
            read(tmp_path, pickle.dumps(Runs(function, f"touch {tmp_path}/ran"), protocol))
    assert not (tmp_path / "ran").exists()


DTYPE = b"cnumpy\ndtype\n"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
F8_STATE = b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
F8 = DTYPE + b"U\x02f8K\x00K\x01\x87R" + F8_STATE


def state(shape: bytes, dtype: bytes, raw: bytes) -> bytes:
    return b"(K\x01" + shape + dtype + b"\x89" + b"T" + struct.pack("<i", len(raw)) + raw + b"tb."


HOSTILE = {
    "row_29 in protocol 2": (b"cnumpy\ncore.multiarray.scalar\n.", "asks for 'numpy.core.multiarray.scalar'"),
    "row_29 in protocol 4": (
        b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.sort\x93.",
        "asks for 'numpy.ndarray.sort'",
    ),
    "bare class": (b"cnumpy\nndarray\n.", "holds a bare _ArrayClass"),
    "class called": (b"cnumpy\nndarray\n)R.", "calls a _ArrayClass"),
    "row_28 INST": (b"(ios\nsystem\n.", "holds the instruction INST"),
    "row_28 OBJ": (b"(cos\nsystem\no.", "asks for 'os.system'"),
    "row_28 OBJ of a value": (b"(K\x01o.", "holds the instruction OBJ"),
    "row_28 NEWOBJ": (b"\x80\x02K\x01)\x81.", "holds the instruction NEWOBJ"),
    "row_28 bytes": (b"c__builtin__\nbytes\n(K\x09tR.", "calls bytes with arguments"),
    "row_30 object": (DTYPE + b"U\x02O8K\x00K\x01\x87R.", "an array of type 'O8', expected plain numbers"),
    "row_30 chumpy": (b"cchumpy.ch\nCh\n)\x81.", "asks for 'chumpy.ch.Ch'"),
    "row_31 void": (DTYPE + b"U\x03V16K\x00K\x01\x87R.", "an array of type 'V16'"),
    "row_31 item size": (F8.replace(b"NNNJ\xff\xff", b"NNNJ\x00\x00") + b".", "f8 of -65536 bytes"),
    "row_31 flags": (F8.replace(b"K\x00tb", b"K\x3ftb") + b".", "with fields or objects inside"),
    "row_31 fields": (F8.replace(b"NNN", b"N(U\x01atN") + b".", "with fields or objects inside"),
    "row_32 list": (b"]}b.", "gives a state to a list"),
    "row_32 class": (b"cnumpy\nndarray\n}b.", "gives a state to a _ArrayClass"),
    "row_32 twice": (
        ARRAY + state(b"K\x01\x85", F8, b"12345678")[:-1] + b"}b.",
        "whose state is not numpy's",
    ),
    "row_32 none": (ARRAY + b".", "an array without content"),
    "row_33 EXT": (b"\x80\x02\x82\x01.", "holds the instruction EXT1"),
    "row_33 PERSID": (b"Pabc\n.", "holds the instruction PERSID"),
    "row_33 BINPERSID": (b"K\x01Q.", "holds the instruction BINPERSID"),
    "row_33 codec": (b"c_codecs\nencode\n(U\x01aU\x03zlbtR.", "encodes with something other than latin1"),
    "row_34 bytes": (ARRAY + state(b"K\x02\x85", F8, b"12345678"), r"\(2,\) and type float64 with 8 bytes"),
    "row_34 negative": (ARRAY + state(b"J\xff\xff\xff\xff\x85", F8, b""), "is not a short tuple of lengths"),
    "row_34 huge": (
        ARRAY + state(b"K\x00\x8a\x08" + b"\xff" * 7 + b"\x0f\x86", F8, b""),
        "not a short tuple",
    ),
    "row_34 text length": (b"T\xff\xff\xff\x7fabc.", "damaged"),
    "row_34 number length": (b"\x8a\xff.", "damaged"),
    "type of a str": (ARRAY + state(b"K\x01\x85", b"U\x02f8", b"12345678"), "an array whose type is a str"),
    "keys": (b"}(K\x01K\x02u.", "a dict with keys other than strings"),
    "key": (b"}K\x01K\x02s.", "a dict with keys other than strings"),
    "append": (b"K\x01K\x02a.", "appends to a int"),
    "row_35 deep": (b"]" * 40 + b"a" * 39 + b".", "nested more than 32 deep"),
    "row_35 very deep": (b"]" * 50_000 + b"a" * 49_999 + b".", "nested more than 32 deep"),
    "row_35 itself": (b"]q\x00h\x00a.", "nested more than 32 deep, or within itself"),
    "row_36 unknown memo": (b"h\x05.", "damaged"),
    "row_36 empty": (b"", "damaged"),
    "row_36 page": (b"<html>", "damaged"),
    "set": (b"\x8fK\x01.", "holds the instruction EMPTY_SET"),
}


@pytest.mark.parametrize(("data", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_and_damaged_files_are_refused(data, message, tmp_path):
    with pytest.raises(DataError, match=f"a.pkl: .*{message}"):
        read(tmp_path, data)


def test_row_35_doubling_lists_take_no_time(tmp_path):
    doubling = b"]q\x00" + b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(30)) + b"."
    top = read(tmp_path, doubling)
    assert len(top) == 2 and top[0] is top[1]


def test_row_34_one_buffer_cannot_become_many_arrays(tmp_path):
    raw = b"\x00" * 8000
    once = b"(" + ARRAY + b"(K\x01M\xe8\x03\x85" + F8 + b"\x89T" + struct.pack("<i", 8000) + raw + b"q\x07tb"
    again = ARRAY + b"(K\x01M\xe8\x03\x85" + F8 + b"\x89h\x07tb"
    with pytest.raises(DataError, match="arrays that are larger than the file they come from"):
        read(tmp_path, once + again * 20 + b"l.")


def test_endless_instructions_stop(tmp_path):
    with pytest.raises(DataError, match="more than 1000000 instructions"):
        read(tmp_path, b"N0" * 600_000 + b"N.")


def test_row_30_a_pickle_within_an_array_is_refused(tmp_path):
    objects = np.array([{"a": 1}, Runs(os.system, f"touch {tmp_path}/ran")], dtype=object)
    for protocol in (2, 4):
        with pytest.raises(DataError, match="a.pkl: "):
            read(tmp_path, pickle.dumps(objects, protocol))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "data",
    [
        ARRAY + state(b"J\xff\xff\xff\x7f\x85", F8, b"12345678"),
        b"K\x01r\xff\xff\xff\x7f.",
        b"T\xff\xff\xff\x7fabc.",
        b"\x80\x04\x8d" + b"\xff" * 7 + b"\x0f.",
        b"\x80\x04\x95" + b"\xff" * 7 + b"\x0fN.",
    ],
    ids=["shape", "memo index", "text", "long text", "frame"],
)
def test_row_34_lengths_that_lie_take_no_memory(data, tmp_path):
    tracemalloc.start()
    try:
        with contextlib.suppress(DataError):
            read(tmp_path, data)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_row_34_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "a.pkl").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(DataError, match="a.pkl: 268435457 bytes, expected at most 268435456"):
        load(tmp_path / "a.pkl")
    with pytest.raises(DataError, match="none.pkl: cannot be read"):
        load(tmp_path / "none.pkl")
