"""Signing policies: which subjects an authority may vouch for, as grids keep them beside it.

    access_id_CA   X509    '/C=DE/O=Grid/CN=Grid CA'
    pos_rights     globus  CA:sign
    cond_subjects  globus  '"/C=DE/O=Grid/*" "/C=DE/O=GermanGrid/*"'

Source: "Extended access control lists" as Globus reads `<hash>.signing_policy` (GSI C, callback;
IGTF's distribution of authorities). * stands for any characters, ? for one. What is not understood
makes the file worthless: its authority then vouches for nobody. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from s3server.auth.wildcard import NO_KEYS, Pattern, read_template

_WORD = re.compile(r"\s*('[^']*'|\"[^\"]*\"|[^\s'\"]+)(?=\s|$)").match
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'").findall
# Ways to write the same kind of name; the last one is ours.
_ALIASES = (("/E=", "/emailAddress="), ("/Email=", "/emailAddress="), ("/USERID=", "/UID="))

Subjects = dict[str, tuple[Pattern, ...]]  # what each authority, by its name, may vouch for


class SigningPolicyError(ValueError):
    """A text that is no signing policy; it says why."""


def read_signing_policy(text: str) -> Subjects:
    """Return the subjects that each authority in a text may vouch for. Raises SigningPolicyError.

    Rights other than CA:sign say nothing of subjects.
    """
    found: Subjects = {}
    authority, may_sign = "", False
    for keyword, kind, value in _entries(text):
        match keyword:
            case "access_id_CA":
                authority, may_sign = usual_name(value), False
                found.setdefault(authority, ())
            case "pos_rights" if authority:
                may_sign = kind == "globus" and value == "CA:sign"
            case "cond_subjects" if authority:
                if may_sign and kind == "globus":
                    found[authority] += tuple(map(_pattern, _subjects(value)))
            case _:
                raise SigningPolicyError(f"{keyword} is not understood there")
    return found


def covers(subjects: Iterable[Pattern], name: str) -> bool:
    """Return whether a name is among those that an authority may vouch for."""
    return any(one.matches(usual_name(name), NO_KEYS) for one in subjects)


def usual_name(name: str) -> str:
    """Return a name with its kinds as we write them."""
    for alias, usual in _ALIASES:
        name = name.replace(alias, usual)
    return name


def _entries(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield keyword, kind and value of each line."""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words, at = [], 0
        while (found := _WORD(line, at)) is not None:
            words.append(found[1])
            at = found.end()
        if (line[at:].strip() and not line[at:].lstrip().startswith("#")) or len(words) < 3:
            raise SigningPolicyError(f"a line cannot be read: {line.strip()[:80]}")
        keyword, kind, value, *comment = words
        if comment and not comment[0].startswith("#"):
            raise SigningPolicyError(f"a line says too much: {line.strip()[:80]}")
        yield keyword, kind, value[1:-1] if value[0] in "'\"" else value


def _subjects(value: str) -> list[str]:
    quoted = ["".join(pair) for pair in _QUOTED(value)]
    return quoted or [value.strip()]


def _pattern(text: str) -> Pattern:
    return Pattern(read_template(usual_name(text), variables=False))
