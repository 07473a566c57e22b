"""Inputs for parsers: valid ones, changed with regard to how they are built.

A parser's corpus is taken apart into words and signs; what is made of it has some of them left out,
doubled, exchanged, or taken from another input, so that most of it gets past the first check of the
parser. All inputs follow from the seed: a failure can be run again, and names its input.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_WORDS = re.compile(rb"[A-Za-z0-9_]+|[^A-Za-z0-9_]", re.DOTALL)
_SPECIAL = (
    b"", b"\0", b"\r\n", b"\n", b" ", b"\t", b"%", b"%00", b"%zz", b"+", b"-1", b"0", b"00", b"1e9",
    b"NaN", b"9" * 25, b"2147483648", b"18446744073709551616", b"\xff", b"\xc3\xa9", b"\xed\xa0",
    b"\xf0\x9f\x98\x80", b"&", b"=", b";", b",", b":", b"/", b"//", b"..", b"*", b"?", b"$", b"{",
    b"}", b"[", b"]", b"<", b">", b"&amp;", b"&#0;", b"&#x1F600;", b"<![CDATA[", b'"', b"'", b"\\",
    b"\\u0000", b"\\ud800", b"null", b"true", b"false", b"=?utf-8?B?gA==?=", b"AAAA", b"a" * 300,
)  # fmt: skip


class Mutator:
    """Makes inputs of a corpus."""

    def __init__(self, corpus: Sequence[bytes], seed: object, *, binary: bool = False) -> None:
        """`binary` where words mean nothing: pieces are single bytes and short runs of them."""
        self._random = random.Random(repr(seed))
        words = re.compile(rb".{1,4}", re.DOTALL) if binary else _WORDS
        self._corpus = [words.findall(one) for one in corpus]
        self._words = sorted({word for one in self._corpus for word in one}) + list(_SPECIAL)

    def make(self) -> bytes:
        """Return the next input."""
        chance, below = self._random.random, self._below
        pieces = list(self._corpus[below(len(self._corpus))])
        for _ in range(1 + below(3)):
            self._change(pieces)
        found = b"".join(pieces)
        if found and chance() < 1 / 8:
            at = below(len(found))
            found = found[:at] + bytes([found[at] ^ 1 << below(8)]) + found[at + 1 :]
        return found

    def cut(self, data: bytes) -> list[bytes]:
        """Return an input in up to four pieces, as they may come from a socket."""
        ends = sorted(self._below(len(data) + 1) for _ in range(self._below(4)))
        return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]

    def _below(self, limit: int) -> int:
        return int(self._random.random() * limit)  # a fifth of what randrange() takes

    def _change(self, pieces: list[bytes]) -> None:
        below = self._below
        at = below(len(pieces) + 1)
        end = at + 1 + below(1 + below(12))
        match below(7):
            case 0:
                del pieces[at:end]
            case 1:
                pieces[at:at] = pieces[at:end]
            case 2:
                pieces[at : at + 1] = [self._words[below(len(self._words))]]
            case 3:
                pieces.insert(at, self._words[below(len(self._words))])
            case 4:
                other = self._corpus[below(len(self._corpus))]
                start = below(len(other) + 1)
                pieces[at:end] = other[start : start + 1 + below(12)]
            case 5:
                pieces[at:end] = pieces[at:end] * (1 + below(1 + below(40)))
            case _:
                del pieces[at:]


@dataclass(frozen=True, slots=True)
class Target:
    """A parser, what it reads, and what it may say no with: all else that it raises is a bug."""

    name: str
    corpus: tuple[bytes, ...]  # valid inputs
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = ()
    inputs: int = 8_000  # in the fast suite
    binary: bool = False

    def run(self, seed: int, inputs: int) -> int:
        """Read so many inputs; return how many were accepted. Raises AssertionError for a bug."""
        make, accepted = Mutator(self.corpus, (self.name, seed), binary=self.binary).make, 0
        for _ in range(inputs):
            accepted += self.accepts(make())
        return accepted

    def accepts(self, data: bytes) -> bool:
        """Whether the parser reads an input. Raises AssertionError where it fails at it."""
        try:
            self.read(data)
        except self.refusals:
            return False
        except Exception as error:
            raise AssertionError(f"{self.name} failed at {data!r}") from error
        return True
