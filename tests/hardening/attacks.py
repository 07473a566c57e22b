"""The attacks of the hardening reference on authentication, authorisation and paths: 44 rows.

Each row names the tests that make the attack, and what shows that they notice: weaknesses planted
by tests/mutants/planted_attacks.py, or tests that plant one themselves. test_attacks.py holds the
table against both.
"""

from __future__ import annotations

from dataclasses import dataclass

_HARD = "tests/hardening"
_SIGNATURES = f"{_HARD}/test_signatures.py"
_ROUTES = f"{_HARD}/test_every_route.py"
_MAY = f"{_HARD}/test_authorisation.py::test_server"
_RED = f"{_HARD}/test_authorisation.py::test_planted_weakness_is_noticed"
_KEYS = f"{_HARD}/test_keys.py"
_FORMS = f"{_HARD}/test_forms.py"
_LOCK = "tests/ops/test_object_lock.py"
_DOCUMENTS = f"{_HARD}/test_documents.py"
_OIDC = "tests/unit/auth/test_oidc.py"
_SOURCES = f"{_HARD}/test_sources.py"


@dataclass(frozen=True, slots=True)
class Attack:
    """One row: where it happened, what was done, which tests do it to us, what turns them red."""

    source: str
    what: str
    tests: tuple[str, ...]
    planted: tuple[str, ...] = ()  # names of weaknesses
    red_in: tuple[str, ...] = ()  # tests that plant the weakness and see theirs fail


ATTACKS: dict[int, Attack] = {
    1: Attack(
        "MinIO CVE-2025-31489",
        "an unsigned payload mode with a garbage signature",
        (f"{_SIGNATURES}::test_wrong_secret_is_refused_in_every_payload_mode",),
        ("the payload mode is looked at before the signature",),
    ),
    2: Attack(
        "MinIO CVE-2026-41145",
        "credentials in the query without Authorization",
        (f"{_SIGNATURES}::test_credentials_in_the_query_need_their_signature",),
        ("credentials are looked for in one header only",),
    ),
    3: Attack(
        "MinIO CVE-2026-40344",
        "a handler that nobody authenticates",
        (f"{_ROUTES}::test_wrong_secret_is_refused", f"{_ROUTES}::test_stranger_is_denied"),
        ("one operation is not authenticated", "one operation is not authorised"),
    ),
    4: Attack(
        "MinIO CVE-2026-97731, NooBaa CVE-2026-94368, Swift CVE-2026-71191, Incus CVE-2026-115374",
        "a presigned PUT with an unsigned x-amz-copy-source",
        (f"{_SIGNATURES}::test_every_amz_header_must_be_signed",),
        ("the source of a copy need not be signed",),
    ),
    5: Attack(
        "Swift CVE-2026-71192, CVE-2026-97149, CVE-2015-5223",
        "control headers of another door",
        (
            f"{_HARD}/test_headers.py::test_headers_give_nobody_a_name",
            f"{_HARD}/test_headers.py::test_no_name_of_a_header_reaches_what_the_server_keeps",
        ),
        ("a header names the sender",),
    ),
    6: Attack(
        "MinIO CVE-2026-34204",
        "headers of replication set internal metadata",
        (f"{_HARD}/test_headers.py::test_no_name_of_a_header_reaches_what_the_server_keeps",),
        ("metadata set what the server keeps for itself",),
    ),
    7: Attack(
        "rclone CVE-2026-88018",
        "no credentials configured, so that nobody is asked",
        ("tests/unit/test_config.py::test_missing_root_is_an_error",),
        ("a server starts without credentials",),
    ),
    8: Attack(
        "MinIO CVE-2020-11012",
        "the door of administration takes a key without its secret",
        (f"{_DOCUMENTS}::test_form_without_signature_is_refused",),
        ("a form is believed without a signature",),
    ),
    9: Attack(
        "swift3 CVE-2015-8466",
        "no date, or another one: a signature for ever",
        (
            f"{_SIGNATURES}::test_request_without_a_valid_date_is_refused",
            f"{_SIGNATURES}::test_clock_of_a_client_may_be_15_minutes_off",
            f"{_SIGNATURES}::test_day_of_the_scope_is_the_day_of_the_date",
        ),
        ("a signature is good for hours", "the day of a scope is not that of the date"),
    ),
    10: Attack(
        "Ceph CVE-2018-1128, CVE-2020-25660",
        "replay: of chunks, and of one request as another; there are no internal calls",
        (
            f"{_SIGNATURES}::test_signature_is_for_one_request_only",
            (
                "tests/unit/wire/test_aws_chunked.py::"
                "test_published_example_verifies_from_seed_to_last_chunk"
            ),
        ),
        ("signatures of chunks are not chained",),
    ),
    11: Attack(
        "Ceph CVE-2024-48916, MinIO CVE-2026-33322",
        "tokens of algorithm none, or of another one than their key's",
        (
            f"{_OIDC}::test_broken_token_is_refused",
            f"{_OIDC}::test_key_that_is_for_one_algorithm_does_not_prove_another",
            f"{_OIDC}::test_every_changed_character_of_a_token_is_noticed",
        ),
        ("a token is read and not verified",),
    ),
    12: Attack(
        "MinIO CVE-2025-62506, CVE-2024-24747, CVE-2021-43858, CVE-2022-24842",
        "rights beyond those of the parent",
        (
            f"{_HARD}/test_who_may_what.py::test_policy",
            f"{_ROUTES}::test_stranger_is_denied",
            f"{_HARD}/test_remembered_decisions.py::test_change_counts_from_the_next_request_on",
            "tests/property/test_clearance.py::test_what_the_bucket_denies_is_not_cleared",
            f"{_HARD}/test_named_principals.py::test_who_is_made_anew_under_a_name_does_not_inherit",
        ),
        (
            "one operation is not authorised",
            "what policies said is remembered for ever",
            "what is cleared in advance is not held against denials",
            "a name is enough for what was another's",
        ),
    ),
    13: Attack(
        "MinIO CVE-2024-55949, RustFS GHSA-566f",
        "an import that overwrites policies: there is none",
        (f"{_DOCUMENTS}::test_nothing_imports_identities",),
        ("an operation imports identities",),
    ),
    14: Attack(
        "MinIO CVE-2023-27589",
        "a key with root's id",
        ("tests/unit/core/test_users.py::test_keys_may_be_brought_along_but_not_twice",),
        ("a key of the root's id may be made",),
    ),
    15: Attack(
        "Swift CVE-2014-0006, RustFS GHSA-3p3x",
        "time tells how much of a signature is right",
        (
            "tests/unit/auth/test_constant_time.py::test_secrets_are_not_compared_with_equals",
            "tests/unit/auth/test_constant_time.py::test_signatures_are_compared_in_constant_time",
        ),
        red_in=("tests/unit/auth/test_constant_time.py::test_comparison_with_equals_is_noticed",),
    ),
    16: Attack(
        "RustFS GHSA-j59h, CVE-2025-68926, CVE-2026-45039",
        "default credentials",
        (
            (
                "tests/unit/admin/test_quickstart_store.py::"
                "test_first_start_makes_random_keys_that_the_next_start_finds"
            ),
            (
                "tests/unit/admin/test_quickstart_store.py::"
                "test_files_with_secrets_are_for_their_owner_only"
            ),
            "tests/unit/test_config.py::test_weak_root_secret_is_refused_where_others_can_connect",
        ),
        ("the first keys are the same everywhere",),
    ),
    17: Attack(
        "Ceph CVE-2025-30156",
        "ciphers that do not bind what they hide",
        (
            "tests/unit/auth/test_secrets.py::test_every_changed_byte_is_noticed",
            (
                "tests/unit/auth/test_secrets.py::"
                "test_sealed_secret_opens_for_the_same_access_key_only"
            ),
        ),
        ("a secret opens for another key",),
    ),
    18: Attack(
        "OSSA-2025-002",
        "a signature exchanged for other credentials",
        (f"{_DOCUMENTS}::test_signature_is_never_exchanged_for_credentials",),
        ("a form is believed without a signature",),
    ),
    19: Attack(
        "RustFS CVE-2026-39360, GHSA-wfxj",
        "copies whose source nobody asked for",
        (f"{_MAY}[copy_needs_its_source]", f"{_MAY}[copy_asks_its_own_condition]"),
        red_in=(f"{_RED}[sources_are_not_asked_for]", f"{_RED}[copy_source_is_no_key]"),
    ),
    20: Attack(
        "RustFS GHSA-3ppv",
        "a version treated as the current one",
        (f"{_MAY}[version_needs_its_own_permission]",),
        red_in=(f"{_RED}[versions_are_current]",),
    ),
    21: Attack(
        "RustFS GHSA-x298",
        "who may list keys lists versions",
        (f"{_MAY}[reader_lists_no_versions]",),
        red_in=(f"{_RED}[readers_list_versions]",),
    ),
    22: Attack(
        "Ceph CVE-2023-43040",
        "a form's field overrides the bucket",
        (
            f"{_FORMS}::test_form_cannot_name_another_bucket",
            f"{_FORMS}::test_bucket_cannot_be_named_twice",
        ),
        ("a form overrides the bucket",),
    ),
    23: Attack(
        "RustFS CVE-2026-27607, MinIO CVE-2021-21362",
        "conditions of a form's policy that nobody holds it to",
        (
            f"{_FORMS}::test_what_the_policy_does_not_allow_is_denied",
            f"{_FORMS}::test_policy_cannot_be_exchanged",
        ),
        ("fields that the policy does not name pass",),
    ),
    24: Attack(
        "MinIO CVE-2023-28434",
        "a media type within another decides the route",
        (
            f"{_FORMS}::test_what_is_no_form_is_not_taken_for_one",
            f"{_FORMS}::test_media_type_is_told_apart_from_its_parameters",
        ),
        ("a media type is looked for anywhere",),
    ),
    25: Attack(
        "Ceph CVE-2016-7031",
        "authenticated-read for the anonymous",
        (
            f"{_MAY}[authenticated_read_is_not_for_nobody]",
            f"{_HARD}/test_who_may_what.py::test_canned_acl",
        ),
        red_in=(f"{_RED}[the_anonymous_are_authenticated]",),
    ),
    26: Attack(
        "MinIO CVE-2023-25812",
        "a header lifts retention",
        (
            f"{_LOCK}::test_retained_version_stays_until_its_time",
            f"{_LOCK}::test_nothing_removes_a_version_on_hold",
            f"{_MAY}[deny_wins]",
        ),
        ("governance is lifted by the header alone",),
        (f"{_RED}[deny_is_a_default]",),
    ),
    27: Attack(
        "RustFS GHSA-j548",
        "what cannot be read is taken for none",
        (
            f"{_LOCK}::test_lock_that_cannot_be_read_holds",
            f"{_MAY}[unreadable_policy_is_not_none]",
        ),
        ("a lock that cannot be read is none",),
        (f"{_RED}[missing_policy_is_none]",),
    ),
    28: Attack(
        "RustFS CVE-2026-21862",
        "X-Forwarded-For as the address of the sender",
        (f"{_MAY}[address_is_that_of_the_socket]",),
        red_in=(f"{_RED}[forwarded_addresses_are_believed]",),
    ),
    29: Attack(
        "RustFS GHSA-6r96",
        "headers called like keys of the server",
        (f"{_MAY}[headers_are_no_server_keys]",),
        red_in=(f"{_RED}[headers_are_keys]",),
    ),
    30: Attack(
        "RustFS GHSA-v9cp",
        "negation of a set instead of each value",
        (f"{_MAY}[negation_is_of_each_value]",),
        red_in=(f"{_RED}[negation_is_of_the_whole]",),
    ),
    31: Attack(
        "MinIO CVE-2024-36107",
        "conditions tell strangers what is there",
        (
            f"{_MAY}[conditions_tell_strangers_nothing]",
            f"{_MAY}[missing_key_is_told_to_who_may_list]",
        ),
        red_in=(f"{_RED}[conditions_come_first]", f"{_RED}[all_are_told_what_is_missing]"),
    ),
    32: Attack(
        "RustFS CVE-2026-40937, GHSA-pfcq",
        "topics of others",
        ("tests/ops/test_sns.py::test_other_users_topics_are_theirs",),
        ("topics of others are everybody's",),
    ),
    33: Attack(
        "RustFS CVE-2026-46685",
        "an origin reflected with credentials",
        (f"{_HARD}/test_headers.py::test_origin_is_never_reflected",),
        ("an origin is reflected",),
    ),
    34: Attack(
        "MinIO CVE-2023-28432, RustFS GHSA-jqmc",
        "pages for debugging",
        (
            f"{_HARD}/test_framing.py::test_unknown_paths_of_the_server_tell_nothing",
            f"{_KEYS}::test_paths_of_the_server_itself_tell_nothing",
        ),
        ("a page for debugging tells the environment",),
    ),
    35: Attack(
        "SeaweedFS CVE-2026-72920, Incus CVE-2026-115371",
        "a second listener",
        (f"{_HARD}/test_listeners.py::test_server_has_one_listener",),
        red_in=(f"{_HARD}/test_listeners.py::test_side_door_is_noticed",),
    ),
    36: Attack(
        "SeaweedFS CVE-2026-54917",
        "PUT /bucket/../other/key",
        (f"{_KEYS}::test_no_key_reaches_the_file_system_or_another_bucket",),
        ("paths are normalised",),
    ),
    37: Attack(
        "SeaweedFS CVE-2026-58372",
        "../ in the keys of a document",
        (f"{_KEYS}::test_no_key_reaches_the_file_system_or_another_bucket",),
        ("keys of documents are cleaned",),
    ),
    38: Attack(
        "RustFS CVE-2025-68705, MinIO CVE-2026-42600, CVE-2022-35919, rclone GHSA-8v25",
        "traversal by separators of other systems",
        (f"{_KEYS}::test_no_key_reaches_the_file_system_or_another_bucket",),
        ("backslashes are slashes",),
    ),
    39: Attack(
        "oxyno s3-proxy CVE-2026-42882",
        "authorised as it was sent, read as it was decoded",
        (f"{_KEYS}::test_slash_and_its_escape_are_the_same_character",),
        ("keys are decoded twice",),
    ),
    40: Attack(
        "Starlette CVE-2026-48710, PYSEC-2026-248",
        "a Host that changes the URL",
        (
            f"{_HARD}/test_addressing.py::test_host_that_is_none_is_refused",
            f"{_SOURCES}::test_no_module_does_what_is_banned",
        ),
        ("any Host is a Host",),
        (f"{_SOURCES}::test_what_is_banned_is_noticed",),
    ),
    41: Attack(
        "Starlette CVE-2023-29159",
        "files served by their paths",
        (f"{_SOURCES}::test_no_module_does_what_is_banned",),
        red_in=(f"{_SOURCES}::test_what_is_banned_is_noticed",),
    ),
    42: Attack(
        "Ceph CVE-2022-3854, CVE-2021-3531",
        "paths of slashes, and bytes that are no text",
        (
            f"{_KEYS}::test_path_without_bucket_is_refused",
            f"{_KEYS}::test_bytes_that_are_no_key_are_no_uri",
            f"{_HARD}/test_fuzz.py::test_no_request_causes_a_traceback",
        ),
        ("a path without bucket is no error", "bytes that are no text are a key"),
    ),
    43: Attack(
        "SeaweedFS CVE-2024-40120",
        "names that are taken for code",
        (f"{_KEYS}::test_names_are_only_names", f"{_SOURCES}::test_no_module_does_what_is_banned"),
        ("names are patterns",),
        (f"{_SOURCES}::test_what_is_banned_is_noticed",),
    ),
    44: Attack(
        "MinIO's .minio.sys and its kin",
        "the server's own data in a bucket",
        (
            f"{_KEYS}::test_bad_name_is_no_bucket",
            f"{_KEYS}::test_no_key_reaches_the_file_system_or_another_bucket",
        ),
        ("a bucket may have the name of a hidden directory",),
    ),
}
