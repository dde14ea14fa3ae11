"""A pickle read as data: what it says, without doing any of it.

A pickle is a program that imports what it names and calls it. Here its instructions build plain
values and records of the names; nothing is imported, called or made that the file asks for, so
there is nothing that a file could use. The instructions are told apart by Python's own
`pickletools.genops`, which decodes and executes nothing.

Work and memory are bounded by what `Budget` allows, whatever the file claims: nothing is copied
without being counted, nothing that the file chose is hashed, and nothing calls itself.
"""

from __future__ import annotations

import pickletools
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

MIB = 1 << 20

_ITEM = 64 * MIB
"""The longest text or number that a pickle may hold, in bytes."""

_LINE = MIB
"""The same for those that end with their line."""

_NAME = 1000
"""The longest name of a module or of what is in it."""

_MEMO = 1 << 32


class DamagedError(ValueError):
    """Instructions that no pickler writes, a file that is cut short, or one beyond its bounds."""


@dataclass
class Budget:
    """What all pickles of one file may take together.

    steps: instructions, and the values that are copied from one list to another.
    size: bytes. The descriptions of the largest published networks need a hundredth of either.
    """

    steps: int = 2_000_000
    size: int = 128 * MIB

    def spend(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0:
            raise DamagedError("more instructions than any checkpoint has")


@dataclass(eq=False, slots=True)
class Named:
    """What stands for a class or a function: its full name, and nothing else."""

    name: str


@dataclass(eq=False, slots=True)
class Table:
    """A dictionary, as its pairs: keys that a file chose are never hashed. The last of equal keys
    counts."""

    pairs: list[tuple[Any, Any]]


@dataclass(eq=False, slots=True)
class Record:
    """What stands for an object: what would have made it, of which values, and its state."""

    maker: Any
    made_of: Any
    state: Any = None


Make = Callable[[str, tuple[Any, ...]], Any]
"""From the full name of a maker and what it is given to a value, or None for a mere record."""

Find = Callable[[Any], Any]
"""From an identifier to the value outside the pickle that it stands for."""


def load(opened: BufferedReader, end: int, budget: Budget, make: Make, find: Find) -> Any:
    """The value of the pickle that begins where `opened` stands; it stands behind it afterwards.

    end: where in the file the pickle ends at the latest. None, bool, int, float, str, bytes, tuple
    and list are themselves; all else is a Table, a Named, a Record, or what `make` and `find` give.
    Raises DamagedError.
    """
    source = _Source(opened, end, budget)
    machine = _Machine(budget, make, find)
    try:
        with warnings.catch_warnings():
            # Of escapes in texts of the oldest protocol that Python does not know.
            warnings.simplefilter("ignore")
            for opcode, argument, _ in pickletools.genops(source):  # type: ignore[arg-type]
                budget.spend(1)
                machine.do(opcode.name, argument)
        return machine.result()
    except DamagedError:
        raise
    except (ValueError, OverflowError, IndexError, struct.error, OSError) as error:
        raise DamagedError(str(error)) from error


class _Source:
    """Where the instructions come from: never further than the end, never much at once."""

    def __init__(self, opened: BufferedReader, end: int, budget: Budget) -> None:
        self._opened = opened
        self._left = end - opened.tell()
        self._budget = budget

    def read(self, size: int) -> bytes:
        if size > min(self._left, _ITEM):
            raise DamagedError("cut short")
        return self._counted(self._opened.read(size))

    def readline(self) -> bytes:
        return self._counted(self._opened.readline(max(0, min(self._left, _LINE))))

    def _counted(self, content: bytes) -> bytes:
        self._left -= len(content)
        self._budget.size -= len(content)
        if self._budget.size < 0:
            raise DamagedError("more to describe the weights than any checkpoint has")
        return content


_VALUES = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)
"""Instructions that push what they hold."""


class _Machine:
    """The stack and the memo of a pickle, and one method for each kind of instruction."""

    def __init__(self, budget: Budget, make: Make, find: Find) -> None:
        self._budget, self._make, self._find = budget, make, find
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _SIMPLE:
            _SIMPLE[name](self)
        elif name in _WITH_ARGUMENT:
            _WITH_ARGUMENT[name](self, argument)
        else:
            raise DamagedError("an instruction that no checkpoint has")

    def result(self) -> Any:
        return self._stack[-1]

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def since_mark(self) -> list[Any]:
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> None:
        # Where nothing lies above a mark, the mark goes.
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()

    def duplicate(self) -> None:
        self.push(self._stack[-1])

    def tuple_of(self, count: int) -> None:
        if len(self._stack) < count:
            raise DamagedError("too few values")
        values = tuple(self._stack[len(self._stack) - count :])
        del self._stack[len(self._stack) - count :]
        self.push(values)

    def append(self) -> None:
        value = self._stack.pop()
        self._extend([value])

    def extend(self) -> None:
        self._extend(self.since_mark())

    def _extend(self, values: list[Any]) -> None:
        # Objects of other kinds keep what they are given in their own way: it holds no weights.
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(values)

    def set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def set_items(self) -> None:
        self._set(self.since_mark())

    def _set(self, values: list[Any]) -> None:
        if isinstance(self._stack[-1], Table):
            self._stack[-1].pairs.extend(_pairs(values))

    def give_state(self) -> None:
        state, value = self._stack.pop(), self._stack[-1]
        # Dictionaries and what stands for a class are left alone.
        if isinstance(value, Record):
            value.state = state

    def call(self) -> None:
        given, maker = self._stack.pop(), self._stack.pop()
        self.push(self._made(maker, given))

    def call_with_keywords(self) -> None:
        self._stack.pop()
        self.call()

    def call_since_mark(self) -> None:
        maker, *given = self.since_mark()
        self.push(self._made(maker, tuple(given)))

    def call_named(self, names: str) -> None:
        self.push(self._made(_named(*names.split(" ", 1)), tuple(self.since_mark())))

    def _made(self, maker: Any, given: Any) -> Any:
        if isinstance(maker, Named) and isinstance(given, tuple):
            if maker.name == "collections.OrderedDict":
                return self._ordered(given)
            value = self._make(maker.name, given)
            if value is not None:
                return value
        return Record(maker, given)

    def _ordered(self, given: tuple[Any, ...]) -> Table:
        """Python 2 gives such a dictionary all its pairs at once, as a list of lists."""
        if not given:
            return Table([])
        if not isinstance(given[0], list):
            raise DamagedError("no pairs")
        self._budget.spend(len(given[0]))
        pairs: list[tuple[Any, Any]] = []
        for pair in given[0]:
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise DamagedError("no pairs")
            pairs.append((pair[0], pair[1]))
        return Table(pairs)

    def name(self, names: str) -> None:
        self.push(_named(*names.split(" ", 1)))

    def name_of_stack(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self.push(_named(module, name))

    def outside(self) -> None:
        self.push(self._find(self._stack.pop()))

    def put(self, place: int) -> None:
        if not 0 <= place < _MEMO:
            raise DamagedError("a place that no memo has")
        self._memo[place] = self._stack[-1]

    def put_next(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, place: int) -> None:
        if place not in self._memo:
            raise DamagedError("a place of the memo that holds nothing")
        self.push(self._memo[place])


def _pairs(values: list[Any]) -> list[tuple[Any, Any]]:
    if len(values) % 2:
        raise DamagedError("a key without a value")
    return list(zip(values[::2], values[1::2], strict=True))


def _named(module: Any, name: Any = None) -> Named:
    if not (isinstance(module, str) and isinstance(name, str)) or len(module) + len(name) > _NAME:
        raise DamagedError("a name that nothing can have")
    return Named(f"{module}.{name}")


_SIMPLE: dict[str, Callable[[_Machine], None]] = {
    "MARK": _Machine.mark,
    "STOP": lambda _: None,
    "POP": _Machine.pop,
    "POP_MARK": lambda m: m.since_mark().clear(),
    "DUP": _Machine.duplicate,
    "NONE": lambda m: m.push(None),
    "NEWTRUE": lambda m: m.push(True),
    "NEWFALSE": lambda m: m.push(False),
    "EMPTY_TUPLE": lambda m: m.push(()),
    "TUPLE1": lambda m: m.tuple_of(1),
    "TUPLE2": lambda m: m.tuple_of(2),
    "TUPLE3": lambda m: m.tuple_of(3),
    "TUPLE": lambda m: m.push(tuple(m.since_mark())),
    "EMPTY_LIST": lambda m: m.push([]),
    "LIST": lambda m: m.push(m.since_mark()),
    "APPEND": _Machine.append,
    "APPENDS": _Machine.extend,
    "EMPTY_DICT": lambda m: m.push(Table([])),
    "DICT": lambda m: m.push(Table(_pairs(m.since_mark()))),
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "EMPTY_SET": lambda m: m.push(Record(Named("builtins.set"), ())),
    "FROZENSET": lambda m: m.push(Record(Named("builtins.frozenset"), tuple(m.since_mark()))),
    "ADDITEMS": _Machine.extend,
    "MEMOIZE": _Machine.put_next,
    "STACK_GLOBAL": _Machine.name_of_stack,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "NEWOBJ_EX": _Machine.call_with_keywords,
    "OBJ": _Machine.call_since_mark,
    "BUILD": _Machine.give_state,
    "BINPERSID": _Machine.outside,
}

_WITH_ARGUMENT: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda *_: None,
    "FRAME": lambda *_: None,
    "GLOBAL": _Machine.name,
    "INST": _Machine.call_named,
    "PERSID": lambda m, name: m.push(m._find(name)),
    "EXT1": lambda m, code: m.push(Named(f"extension.{code}")),
    "EXT2": lambda m, code: m.push(Named(f"extension.{code}")),
    "EXT4": lambda m, code: m.push(Named(f"extension.{code}")),
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
}
