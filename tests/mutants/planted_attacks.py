"""Weaknesses that other servers had, planted in ours: which test is to catch each.

The rows are those of the hardening reference on authentication (4.1), authorisation (4.2) and
paths (4.3). tests/hardening/attacks.py says which weakness belongs to which row; some rows plant
theirs in a test of their own.
"""

from __future__ import annotations

from tests.mutants.planted import Bug

_HARD = "tests/hardening"
_SIGNATURES = f"{_HARD}/test_signatures.py"

WEAKNESSES = {
    "the payload mode is looked at before the signature": Bug(
        "s3server.auth.authenticate",
        "key = sigv4.verify(claim, attempt.request, secret, payload, _hosts(attempt))",
        "given = claim, attempt.request, secret, payload, _hosts(attempt)\n"
        "        trailing = payload == 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'\n"
        "        key = None if trailing else sigv4.verify(*given)",
        f"{_SIGNATURES}::test_wrong_secret_is_refused_in_every_payload_mode",
        is_quick=True,
    ),
    "credentials are looked for in one header only": Bug(
        "s3server.auth.authenticate",
        "    if pairs:\n        names = ",
        "    if pairs and authorization is not None:\n        names = ",
        f"{_SIGNATURES}::test_credentials_in_the_query_need_their_signature",
    ),
    "one operation is not authenticated": Bug(
        "s3server.server",
        "identity = await self._authenticate(http, target, is_trusted, exchange)\n",
        "nobody = Identity(ANONYMOUS, 'anonymous', 'UNSIGNED-PAYLOAD')\n"
        "        is_other = operation.name == 'PutObjectTagging'\n"
        "        identity = nobody if is_other else await self._authenticate("
        "http, target, is_trusted, exchange)\n",
        f"{_HARD}/test_every_route.py::test_wrong_secret_is_refused",
    ),
    "one operation is not authorised": Bug(
        "s3server.server",
        "        await self.door.permit(\n            caller, action, bucket",
        "        if operation.name != 'ListParts': await self.door.permit(\n"
        "            caller, action, bucket",
        f"{_HARD}/test_every_route.py::test_stranger_is_denied",
    ),
    "the source of a copy need not be signed": Bug(
        "s3server.auth.sigv4",
        'n.startswith("x-amz-")]',
        'n.startswith("x-amz-") and n != "x-amz-copy-source"]',
        f"{_SIGNATURES}::test_every_amz_header_must_be_signed",
        is_quick=True,
    ),
    "a header names the sender": Bug(
        "s3server.auth.authenticate",
        'return Identity(ANONYMOUS, "anonymous", _anonymous_payload(request.headers))',
        'named = request.headers.get("userid")\n'
        "            found = ANONYMOUS if named is None else msgspec.structs.replace("
        'ANONYMOUS, kind="root", id=named)\n'
        '            return Identity(found, "anonymous", _anonymous_payload(request.headers))',
        f"{_HARD}/test_headers.py::test_headers_give_nobody_a_name",
    ),
    "metadata set what the server keeps for itself": Bug(
        "s3server.ops.attributes",
        'storage_class=request.get("StorageClass") or STANDARD,',
        'storage_class=(request.get("Metadata") or {}).get("x-internal-storage-class")'
        ' or request.get("StorageClass") or STANDARD,',
        f"{_HARD}/test_headers.py::test_no_name_of_a_header_reaches_what_the_server_keeps",
    ),
    "a server starts without credentials": Bug(
        "s3server.config",
        "    root: RootConfig\n",
        "    root: RootConfig | None = None\n",
        "tests/unit/test_config.py::test_missing_root_is_an_error",
    ),
    "a token is read and not verified": Bug(
        "s3server.auth.oidc",
        "claims = jwt.decode(token, key, algorithms=ALGORITHMS, registry=_REGISTRY).claims",
        "text = __import__('base64').urlsafe_b64decode(token.split('.')[1] + '==')\n"
        "        claims = __import__('json').loads(text)",
        "tests/unit/auth/test_oidc.py::test_every_changed_character_of_a_token_is_noticed",
    ),
    "what policies said is remembered for ever": Bug(
        "s3server.laws",
        "if known is None or not self._identities.meta.look(known.is_as_before):",
        "if known is None:",
        f"{_HARD}/test_remembered_decisions.py",
    ),
    "what is cleared in advance is not held against denials": Bug(
        "s3server.auth.clearance",
        "if resource not in self.allowed or resource in self.denied:",
        "if resource not in self.allowed:",
        "tests/property/test_clearance.py::test_what_the_bucket_denies_is_not_cleared",
    ),
    "a name is enough for what was another's": Bug(
        "s3server.auth.policy",
        "by_name = not (self.allows or self.not_principals)",
        "by_name = True",
        f"{_HARD}/test_named_principals.py::test_who_is_made_anew_under_a_name_does_not_inherit",
    ),
    "a form is believed without a signature": Bug(
        "s3server.server",
        "identity = await self._authenticate(http, target, is_trusted, exchange, sha256=sha256)\n",
        "from s3server.model import Principal\n"
        "        root = Principal('root', 'x', 'root')\n"
        "        identity = Identity(root, 'v4-header', 'UNSIGNED-PAYLOAD')\n",
        f"{_HARD}/test_documents.py::test_form_without_signature_is_refused",
    ),
    "a signature is good for hours": Bug(
        "s3server.auth.sigv4",
        "MAX_SKEW_S = 900",
        "MAX_SKEW_S = 9_000",
        f"{_SIGNATURES}::test_clock_of_a_client_may_be_15_minutes_off",
    ),
    "the day of a scope is not that of the date": Bug(
        "s3server.auth.sigv4",
        "if claim.timestamp[:8] != claim.date:",
        "if False:",
        f"{_SIGNATURES}::test_day_of_the_scope_is_the_day_of_the_date",
    ),
    "signatures of chunks are not chained": Bug(
        "s3server.auth.chunk_signatures",
        "        self._previous = expected\n",
        "",
        "tests/unit/wire/test_aws_chunked.py::"
        "test_published_example_verifies_from_seed_to_last_chunk",
    ),
    "an operation imports identities": Bug(
        "s3server.operation",
        "        HANDLERS[name] = handler\n",
        "        HANDLERS[name] = HANDLERS['ImportIdentities'] = handler\n",
        f"{_HARD}/test_documents.py::test_nothing_imports_identities",
    ),
    "the first keys are the same everywhere": Bug(
        "s3server.auth.secrets",
        'return "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40))',
        'return "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"',
        "tests/unit/admin/test_quickstart_store.py::"
        "test_first_start_makes_random_keys_that_the_next_start_finds",
    ),
    "backslashes are slashes": Bug(
        "s3server.wire.request",
        "    key = _decode_path(raw)\n",
        "    key = _decode_path(raw).replace('\\\\', '/')\n",
        f"{_HARD}/test_keys.py::test_no_key_reaches_the_file_system_or_another_bucket",
    ),
    "a key of the root's id may be made": Bug(
        "s3server.core.users",
        "if key_id in self._reserved or",
        "if",
        "tests/unit/core/test_users.py::test_keys_may_be_brought_along_but_not_twice",
    ),
    "a secret opens for another key": Bug(
        "s3server.auth.secrets",
        'return b"s3server access key " + access_key_id.encode()',
        'return b"s3server access key "',
        "tests/unit/auth/test_secrets.py::test_sealed_secret_opens_for_the_same_access_key_only",
    ),
    "a form overrides the bucket": Bug(
        "s3server.browser.post",
        '    if fields.get("bucket", bucket) != bucket:\n'
        '        raise AccessDenied("The bucket of the form is not that of its URL.")\n'
        "    least, most = 0, MAX_SIZE_BYTES\n"
        '    if "policy" in fields:\n'
        '        policy = read_post_policy(fields["policy"])\n'
        "        policy.check(fields, bucket=bucket, now=now)\n",
        "    least, most = 0, MAX_SIZE_BYTES\n"
        '    if "policy" in fields:\n'
        '        policy = read_post_policy(fields["policy"])\n'
        "        policy.check(fields, bucket=bucket, now=now)\n"
        '        bucket = fields.get("bucket", bucket)\n',
        f"{_HARD}/test_forms.py::test_form_cannot_name_another_bucket",
    ),
    "fields that the policy does not name pass": Bug(
        "s3server.auth.post_policy",
        "        if extra:\n",
        "        if False:\n",
        f"{_HARD}/test_forms.py::test_what_the_policy_does_not_allow_is_denied",
    ),
    "a media type is looked for anywhere": Bug(
        "s3server.wire.routing",
        'return media_type(headers.get("content-type", "")) == MEDIA_TYPE',
        'return MEDIA_TYPE in headers.get("content-type", "")',
        f"{_HARD}/test_forms.py::test_what_is_no_form_is_not_taken_for_one",
    ),
    "governance is lifted by the header alone": Bug(
        "s3server.core.locks",
        "if is_held and not (bypass and held.mode == GOVERNANCE):",
        "if is_held and not bypass:",
        "tests/ops/test_object_lock.py",
    ),
    "a lock that cannot be read is none": Bug(
        "s3server.core.records",
        'if len(value) < 6 or crc32c(body) != int.from_bytes(value[-4:], "big"):',
        "if False:",
        "tests/ops/test_object_lock.py::test_lock_that_cannot_be_read_holds",
    ),
    "topics of others are everybody's": Bug(
        "s3server.auth.authorise",
        "    if is_host or (is_at_home and said.own_policies is Verdict.ALLOW):\n"
        "        return True\n    return said.bucket_policy is Verdict.ALLOW and (is_at_home",
        "    return True or (is_at_home",
        "tests/ops/test_sns.py::test_other_users_topics_are_theirs",
    ),
    "an origin is reflected": Bug(
        "s3server.browser.cors",
        "return [] if found is None else sharing_headers(*found)",
        "reflected = [(b'access-control-allow-origin', origin.encode())]\n"
        "        return reflected if found is None else sharing_headers(*found)",
        f"{_HARD}/test_headers.py::test_origin_is_never_reflected",
    ),
    "a page for debugging tells the environment": Bug(
        "s3server.health",
        'Route("/-/health/live", live, methods=["GET", "HEAD"]),',
        'Route("/-/health/live", live, methods=["GET", "HEAD"]),\n'
        '            Route("/-/debug", lambda _: JSONResponse(dict(__import__("os").environ))),',
        f"{_HARD}/test_framing.py::test_unknown_paths_of_the_server_tell_nothing",
    ),
    "paths are normalised": Bug(
        "s3server.wire.request",
        "    path = request.raw_path\n    if path == ACCOUNT_PATH",
        "    import posixpath\n"
        "    path = posixpath.normpath(request.raw_path)\n    if path == ACCOUNT_PATH",
        f"{_HARD}/test_keys.py::test_no_key_reaches_the_file_system_or_another_bucket",
        is_quick=True,
    ),
    "keys are decoded twice": Bug(
        "s3server.wire.request",
        'text = unquote_to_bytes(raw).decode("utf-8")',
        'text = unquote_to_bytes(unquote_to_bytes(raw)).decode("utf-8")',
        f"{_HARD}/test_keys.py::test_slash_and_its_escape_are_the_same_character",
    ),
    "keys of documents are cleaned": Bug(
        "s3server.ops.object_delete",
        'key = entry["Key"]',
        'key = entry["Key"].replace("../", "")',
        f"{_HARD}/test_keys.py::test_no_key_reaches_the_file_system_or_another_bucket",
    ),
    "any Host is a Host": Bug(
        "s3server.wire.request",
        "    if not is_host(host):\n",
        "    if False:\n",
        f"{_HARD}/test_addressing.py::test_host_that_is_none_is_refused",
    ),
    "a path without bucket is no error": Bug(
        "s3server.wire.request",
        "        if raw_key or len(path) > 1:\n",
        "        if False:\n",
        f"{_HARD}/test_keys.py::test_path_without_bucket_is_refused",
    ),
    "bytes that are no text are a key": Bug(
        "s3server.wire.request",
        'text = unquote_to_bytes(raw).decode("utf-8")',
        'text = unquote_to_bytes(raw).decode("utf-8", "replace")',
        f"{_HARD}/test_keys.py::test_bytes_that_are_no_key_are_no_uri",
    ),
    "names are patterns": Bug(
        "s3server.wire.metadata",
        "return value if is_plain else _encode_words(value)",
        "return value.format() if is_plain else _encode_words(value)",
        f"{_HARD}/test_keys.py::test_names_are_only_names",
    ),
    "a bucket may have the name of a hidden directory": Bug(
        "s3server.core.buckets",
        'r"[a-z0-9][a-z0-9.-]',
        'r"[a-z0-9._][a-z0-9._-]',
        f"{_HARD}/test_keys.py::test_bad_name_is_no_bucket",
    ),
}
