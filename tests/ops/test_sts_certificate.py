"""GetCertificateChallenge and AssumeRoleWithCertificate."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import pytest

from s3server.auth.ca_directory import AuthorityDirectory
from s3server.auth.certificates import Certificates, Rule
from s3server.auth.challenges import LIFETIME_MS, Challenges
from tests.support.asgi_client import HOST
from tests.support.certificates import answered
from tests.support.grid_ca import LIMITED, Authority, Holder, proxy, proxy_info
from tests.support.served import ManualClock, Store
from tests.support.sts import ALICE, make_role, session_of, sts, trust

DN = "/DC=org/DC=grid/CN=Alice"
GRID = trust({"Federated": "x509"}, "sts:AssumeRoleWithCertificate")
ARN = f"arn:aws:iam::{ALICE}:role/grid"
CA = Authority(at=ManualClock().now())
USER = CA.user()
PROXY = proxy(proxy(USER), "2")


@pytest.fixture
async def grid(tmp_path: Path) -> Store:
    directory = AuthorityDirectory(
        CA.write(tmp_path / "ca"), needs_crls=True, needs_policies=True, allows_limited=False
    )
    rules = [Rule(DN, ARN), Rule("/DC=org/DC=grid/*", f"arn:aws:iam::{ALICE}:role/all")]
    store = Store(certificates=Certificates(directory, rules, Challenges(b"k" * 32), names=[HOST]))
    await store.alice.made("/data")
    await store.alice.made("/data/key", body=b"content")
    await make_role(store, "grid", GRID)
    await make_role(store, "all", GRID)
    await make_role(store, "other", GRID)
    return store


async def status(store: Store, fields: dict[str, str]) -> int:
    return (await sts(store.nobody, "AssumeRoleWithCertificate", fields)).status


@pytest.mark.parametrize("holder", [USER, PROXY], ids=["user", "proxy of a proxy"])
async def test_holder_becomes_the_role_of_the_first_rule(grid: Store, holder: Holder) -> None:
    answer = await sts(grid.nobody, "AssumeRoleWithCertificate", await answered(grid, holder))
    session = session_of(grid.nobody, answer)
    assert answer.text(".//Arn") == f"arn:aws:sts::{ALICE}:assumed-role/grid/Alice"
    assert (await session("GET", "/data/key")).body == b"content"


async def test_session_ends_with_its_proxy(grid: Store) -> None:
    short = proxy(USER, lasts=timedelta(minutes=10))
    answer = await sts(grid.nobody, "AssumeRoleWithCertificate", await answered(grid, short))
    session = session_of(grid.nobody, answer)
    grid.clock.ms += 600_000 - 1
    assert (await session("GET", "/data/key")).status == 200
    grid.clock.ms += 1
    assert (await session("GET", "/data/key")).outcome == (400, "ExpiredToken")


async def test_holder_chooses_among_the_roles_of_the_rules_only(grid: Store) -> None:
    for name, expected in (("all", 200), ("other", 403)):
        fields = await answered(grid, PROXY, RoleArn=f"arn:aws:iam::{ALICE}:role/{name}")
        assert await status(grid, fields) == expected
    assert await status(grid, await answered(grid, CA.user("Bob"))) == 200
    assert await status(grid, await answered(grid, CA.user("Bob"), RoleArn=ARN)) == 403


async def test_rule_is_not_enough_where_the_role_trusts_others(grid: Store) -> None:
    await make_role(grid, "grid", trust({"AWS": "arn:aws:iam::alice-project:user/alice"}))
    assert await status(grid, await answered(grid, PROXY)) == 403


async def test_proof_is_of_this_key_this_host_and_this_minute(grid: Store) -> None:
    good = await answered(grid, PROXY)
    assert await status(grid, await answered(grid, PROXY, host="evil.org")) == 403
    assert (
        await status(grid, {**good, "Signature": (await answered(grid, USER))["Signature"]}) == 403
    )
    for signature in ("", "x", "é", base64.b64encode(b"x" * 64).decode()):
        assert await status(grid, {**good, "Signature": signature}) == 403
    for text in ("", "x", "é", Challenges(b"o" * 32).make(grid.clock.ms)):
        assert await status(grid, await answered(grid, PROXY, Challenge=text or "AAAA")) == 403
    assert await status(grid, good) == 200
    grid.clock.ms += LIFETIME_MS
    assert await status(grid, good) == 403


async def test_challenge_that_another_server_passed_on_is_of_no_use_to_it(grid: Store) -> None:
    """It sends us the host that its client signed for: its own."""
    relay = grid.nobody.changed(host="evil.org")
    signed = await answered(grid, PROXY, host="evil.org")
    assert (await sts(relay, "AssumeRoleWithCertificate", signed)).status == 403
    ours = grid.nobody.changed(host=f"{HOST.upper()}:8443")
    signed = await answered(grid, PROXY, host=f"{HOST}:8443")
    assert (await sts(ours, "AssumeRoleWithCertificate", signed)).status == 200


async def test_chain_that_proves_nobody_gets_nothing(grid: Store) -> None:
    other = Authority("Other CA", at=CA.at).user()
    for holder in (other, proxy(other), proxy(USER, info=proxy_info(LIMITED))):
        assert await status(grid, await answered(grid, holder)) == 403
    fields = await answered(grid, PROXY)
    for chain in ("", "x", "é" * 10, fields["CertificateChain"][:500]):
        assert await status(grid, {**fields, "CertificateChain": chain}) in (400, 403)


async def test_revocation_list_that_changes_counts_at_once(grid: Store, tmp_path: Path) -> None:
    mallory = CA.user("Mallory")
    assert await status(grid, await answered(grid, proxy(mallory))) == 200
    CA.revoked.append(mallory.certificate)
    CA.write(tmp_path / "ca")
    assert await status(grid, await answered(grid, proxy(mallory))) == 403
    assert await status(grid, await answered(grid, PROXY)) == 200


async def test_store_without_authorities_accepts_no_certificates(store: Store) -> None:
    await make_role(store, "grid", GRID)
    assert await status(store, await answered(store, PROXY)) == 403
