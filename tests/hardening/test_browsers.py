"""What reaches browsers. Hardening reference, rows 33 (CVE-2026-46685) and 45 (CVE-2020-10753)."""

from __future__ import annotations

import pytest

from s3server.wire.cors import sharing_headers
from tests.ops.test_bucket_cors import RULES, SITE, configure
from tests.support.served import Store

EVIL = ("https://evil.example", "null", "https://portal.example.evil.example", "file://")


@pytest.mark.parametrize("origin", [SITE, *EVIL])
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "OPTIONS"])
async def test_credentials_are_never_shared(data: Store, origin: str, method: str) -> None:
    await configure(data)
    headers = {"origin": origin, "access-control-request-method": "GET"}
    for target in ("/data/key", "/data", "/", "/missing/key"):
        answer = await data.nobody(method, target, headers=headers)
        names = {name for name, _ in answer.headers}
        assert "access-control-allow-credentials" not in names
        assert answer.header("access-control-allow-origin") in {None, "*", SITE}


@pytest.mark.parametrize("control", ["&#13;", "&#10;", "&#13;&#10;", "\n", "&#127;"])
@pytest.mark.parametrize("element", ["AllowedOrigin", "AllowedHeader", "ExposeHeader"])
async def test_control_characters_in_rules_are_refused_when_written(
    data: Store, element: str, control: str
) -> None:
    text = RULES.replace(f"</{element}>", f"{control}x: y</{element}>", 1)
    with data.untouched():
        assert (await configure(data, text)).outcome == (400, "InvalidRequest")


@pytest.mark.parametrize("control", ["\r", "\n", "\0", "\x7f"])
def test_control_characters_in_rules_are_refused_when_sent(control: str) -> None:
    """What an older version may have stored does not split an answer."""
    rule = {"AllowedMethods": ["GET"], "ExposeHeaders": [f"a{control}b"]}
    with pytest.raises(ValueError, match="control characters"):
        sharing_headers(rule, "*")
