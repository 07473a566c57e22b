"""Key pairs, where people keep them: options, environment, ~/.aws; found as boto3 finds them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase

import botocore.session

from bench.errors import BenchError
from bench.signing import Account


@dataclass(frozen=True, slots=True)
class Found:
    """Key pairs, and what the same places say of endpoint and region ("" for nothing)."""

    accounts: tuple[Account, ...]
    endpoint: str
    region: str


def find(access_key: str, secret_key: str, profiles: list[str]) -> Found:
    """Return the pair of the options, one per profile (patterns as in "bench-*"), or the default.

    Raises BenchError where a profile or any credentials are missing.
    """
    if bool(access_key) != bool(secret_key):
        raise BenchError("an access key goes with a secret key")
    plain = botocore.session.Session()
    names = [name for pattern in profiles for name in _matching(plain, pattern)]
    sessions = [botocore.session.Session(profile=name) for name in names] or [plain]
    named = (os.environ.get(name) for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    written = sessions[0].get_scoped_config().get("endpoint_url", "")
    endpoint = next(filter(None, named), str(written))
    region = str(sessions[0].get_config_variable("region") or "")
    if access_key:
        return Found((Account(access_key, secret_key),), endpoint, region)
    return Found(tuple(_account(one) for one in sessions), endpoint, region)


def _matching(session: botocore.session.Session, pattern: str) -> list[str]:
    found = [name for name in session.available_profiles if fnmatchcase(name, pattern)]
    if not found:
        raise BenchError(f"no profile is named {pattern!r}")
    return found


def _account(session: botocore.session.Session) -> Account:
    found = session.get_credentials()
    if found is None:
        raise BenchError("no credentials: AWS_ACCESS_KEY_ID, ~/.aws/credentials or --access-key")
    frozen = found.get_frozen_credentials()
    return Account(frozen.access_key, frozen.secret_key, frozen.token or "")
