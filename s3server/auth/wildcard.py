"""Patterns of policies: `*`, `?` and variables, matched in time linear in the text.

Source: "IAM JSON policy elements: Resource" and "Variables and tags", AWS IAM user guide. There
is no backtracking: what stands between two stars has a fixed length, so its leftmost place is
always a right one. What replaces a variable is text, whatever stars it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Protocol

import msgspec


class Wild(Enum):
    """What a pattern has beside text."""

    ANY = "*"  # any text, be it empty
    ONE = "?"  # any one character


class Variable(msgspec.Struct, frozen=True):
    """`${aws:username}`, or `${aws:username, 'default'}`."""

    key: str  # condition key, lower case
    default: str | None = None


Token = str | Wild
Template = tuple[Token | Variable, ...]

_WILD = {"*": Wild.ANY, "?": Wild.ONE}
_VARIABLE = re.compile(r"([A-Za-z0-9_.:/=+@-]+)(?:, ?'([^']*)')?").fullmatch
_ESCAPES = frozenset("*?$")


class Keys(Protocol):
    """The condition keys of a request."""

    def find(self, key: str) -> tuple[str, ...] | None:
        """Return the values of a key (lower case): none where the request lacks it.

        None where nobody here knows such a key, so that nothing may follow from it.
        """
        ...


def read_template(text: str, *, wild: bool = True, variables: bool = False) -> Template:
    """Return the parts of a pattern, or of a text with variables where not `wild`.

    Raises ValueError for a variable that is not closed or has no name.
    """
    tokens: list[Token | Variable] = []
    position = 0
    for found in re.finditer(r"\$\{|[*?]" if variables else r"[*?]", text):
        start = found.start()
        if start < position:  # inside of a variable
            continue
        sign = found.group()
        if sign != "${" and not wild:
            continue
        if start > position:
            tokens.append(text[position:start])
        if sign != "${":
            tokens.append(_WILD[sign])
            position = start + 1
            continue
        stop = text.find("}", start)
        if stop < 0:
            raise ValueError("a policy variable is not closed")
        tokens.append(_variable(text[start + 2 : stop]))
        position = stop + 1
    if position < len(text):
        tokens.append(text[position:])
    return tuple(tokens)


def _variable(inner: str) -> str | Variable:
    if inner in _ESCAPES:
        return inner
    found = _VARIABLE(inner)
    if found is None:
        raise ValueError("a policy variable has no valid name")
    return Variable(found[1].lower(), found[2])


class Pattern:
    """A pattern, compiled once unless it has variables."""

    __slots__ = ("_fixed", "_ignores_case", "_text", "template")

    def __init__(self, template: Template, *, ignores_case: bool = False) -> None:
        self.template = template
        self._ignores_case = ignores_case
        tokens = self._resolve(NO_KEYS)
        self._fixed = None if tokens is None else Wildcard(tokens)
        texts = [token for token in tokens or () if isinstance(token, str)]
        self._text = "".join(texts) if tokens is not None and len(texts) == len(tokens) else None

    def matches(self, text: str, keys: Keys) -> bool | None:
        """Return whether it is all of `text`; None where a variable of it has no value."""
        if self._ignores_case:
            text = text.lower()
        if self._text is not None:
            return text == self._text
        if self._fixed is not None:
            return self._fixed.matches(text)
        tokens = self._resolve(keys)
        if tokens is None:
            return None
        length = sum(len(token) for token in tokens if isinstance(token, str))
        return length <= len(text) and Wildcard(tokens).matches(text)

    def _resolve(self, keys: Keys) -> list[Token] | None:
        tokens: list[Token] = []
        for token in self.template:
            value = _value(token, keys) if isinstance(token, Variable) else token
            if value is None:
                return None
            if self._ignores_case and isinstance(value, str):
                value = value.lower()
            tokens.append(value)
        return tokens

    @property
    def has_variables(self) -> bool:
        """Whether what it matches depends on keys of the request."""
        return self._fixed is None

    @property
    def is_fixed(self) -> bool:
        """Whether it has neither wildcards nor variables."""
        return all(isinstance(token, str) for token in self.template)

    @classmethod
    def all_from(cls, start: str) -> Pattern:
        """Return the pattern of all texts that begin so."""
        return cls((start, Wild.ANY) if start else (Wild.ANY,))

    @property
    def is_all_from_start(self) -> bool:
        """Whether it matches all texts that begin with `start`."""
        *text, last = self.template or ("",)
        return last is Wild.ANY and all(isinstance(token, str) for token in text)

    @property
    def start(self) -> str:
        """The text that all matching texts begin with."""
        start = ""
        for token in self.template:
            if not isinstance(token, str):
                break
            start += token
        return start


def _value(variable: Variable, keys: Keys) -> str | None:
    values = keys.find(variable.key)
    if values is not None and len(values) == 1:
        return values[0]
    return variable.default if values == () else None


class _NoKeys:
    def find(self, key: str) -> tuple[str, ...] | None:
        return None


NO_KEYS = _NoKeys()


class Wildcard:
    """A pattern without variables."""

    __slots__ = ("_first", "_last", "_middle")

    def __init__(self, tokens: Iterable[Token]) -> None:
        runs: list[list[Token]] = [[]]
        for token in tokens:
            if token is Wild.ANY:
                runs.append([])
            else:
                runs[-1].append(token)
        self._first = _Run(runs[0])
        self._last = _Run(runs[-1]) if len(runs) > 1 else None
        self._middle = [_Run(run) for run in runs[1:-1] if run]

    def matches(self, text: str) -> bool:
        """Return whether the pattern is all of `text`."""
        first, last = self._first, self._last
        if last is None:
            return len(text) == first.length and first.is_at(text, 0)
        position, stop = first.length, len(text) - last.length
        if stop < position or not first.is_at(text, 0) or not last.is_at(text, stop):
            return False
        for run in self._middle:
            position = run.find(text, position, stop)
            if position < 0:
                return False
            position += run.length
        return True


class _Run:
    """Text between stars: literal, or with places where any character will do."""

    __slots__ = ("_literal", "_pieces", "length")

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._pieces: list[tuple[int, str]] = []  # where each literal text begins
        self.length = 0
        for token in tokens:
            if isinstance(token, str):
                self._pieces.append((self.length, token))
                self.length += len(token)
            else:
                self.length += 1
        is_literal = self.length == sum(len(piece) for _, piece in self._pieces)
        self._literal = "".join(piece for _, piece in self._pieces) if is_literal else None

    def is_at(self, text: str, position: int) -> bool:
        """Return whether the run is at this place of a text that is long enough."""
        if self._literal is not None:
            return text.startswith(self._literal, position)
        return all(text.startswith(piece, position + start) for start, piece in self._pieces)

    def find(self, text: str, start: int, stop: int) -> int:
        """Return its leftmost place in text[start:stop], -1 where there is none."""
        if self._literal is not None:
            return text.find(self._literal, start, stop)
        # Shift-and (Baeza-Yates and Gonnet, 1992): bit i of the state tells that the last
        # characters are the first i+1 of the run.
        everywhere = (1 << self.length) - 1
        fits: dict[str, int] = {}
        anywhere = everywhere
        for offset, piece in self._pieces:
            for at, character in enumerate(piece, offset):
                fits[character] = fits.get(character, 0) | 1 << at
                anywhere &= ~(1 << at)
        state, last = 0, 1 << (self.length - 1)
        for position in range(start, stop):
            state = ((state << 1) | 1) & (fits.get(text[position], 0) | anywhere)
            if state & last:
                return position - self.length + 1
        return -1
