"""Session tokens: sealed, bound to their access key, opened by every master key."""

import base64
import random
import string

import pytest

from s3server.auth.session_tokens import (
    MAX_TOKEN_CHARACTERS,
    Session,
    TokenBox,
    new_session_keys,
    packed_percent,
)
from s3server.errors import InvalidToken
from s3server.model import Lineage
from s3server.sts_errors import PackedPolicyTooLarge

OLD, NEW = bytes([1]) * 32, bytes([2]) * 32
BOX = TokenBox(OLD)


def session(**fields):
    key_id, secret = new_session_keys()
    known = {"access_key_id": key_id, "secret": secret, "issued_ms": 1, "expires_ms": 2}
    return Session(**{**known, "lineage": Lineage("user", "AKIA"), **fields})


def test_token_opens_to_what_was_sealed_and_shows_none_of_it():
    made = session(name="job", policies=("{}",), tags=(("project", "geo"),))
    token = BOX.seal(made)
    assert BOX.open(token, made.access_key_id) == made
    assert made.secret not in token
    assert made.secret.encode() not in base64.urlsafe_b64decode(token)
    assert made.secret not in repr(made)


def test_two_tokens_of_one_session_differ():
    made = session()
    assert BOX.seal(made) != BOX.seal(made)


def test_token_of_another_access_key_is_invalid():
    token = BOX.seal(session())
    with pytest.raises(InvalidToken):
        BOX.open(token, session().access_key_id)


def test_every_changed_character_is_noticed():
    made = session()
    token = BOX.seal(made)
    alphabet = string.ascii_letters + string.digits + "-_"
    for at in range(len(token.rstrip("=")) - 1):  # the last one has bits that mean nothing
        other = random.Random(at).choice([c for c in alphabet if c != token[at]])
        with pytest.raises(InvalidToken):
            BOX.open(token[:at] + other + token[at + 1 :], made.access_key_id)


@pytest.mark.parametrize(
    "token", ["", "x", "=", "é", "a" * 10_000, "AQ==", "\0", "AQAAAAA", "AAAA" * 20, " "]
)
def test_what_is_no_token_is_invalid(token):
    with pytest.raises(InvalidToken):
        BOX.open(token, "ASIA")


def test_newest_master_key_seals_and_older_ones_still_open():
    made = session()
    assert TokenBox(OLD, NEW).open(BOX.seal(made), made.access_key_id) == made
    assert TokenBox(NEW).open(TokenBox(OLD, NEW).seal(made), made.access_key_id) == made
    with pytest.raises(InvalidToken):
        TokenBox(NEW).open(BOX.seal(made), made.access_key_id)


def test_token_fits_into_a_header_or_is_refused():
    noise = random.Random(1)
    text, more = ("".join(noise.choices(string.printable, k=2_048)) for _ in range(2))
    token = BOX.seal(session(policies=(text,)))
    assert len(token) <= MAX_TOKEN_CHARACTERS
    assert 50 < packed_percent(token) <= 100
    with pytest.raises(PackedPolicyTooLarge):
        BOX.seal(session(policies=(text, more)))
