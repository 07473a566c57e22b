"""Which tests hold the other rows of the hardening reference: 4.4 to 4.7, and the limits of 5.

Rows on what is not here yet are named in MISSING, not left out. test_attacks.py holds the table
against the tests.
"""

from __future__ import annotations

_HARD, _OPS, _WIRE = "tests/hardening", "tests/ops", "tests/unit/wire"
_HEADERS, _BODIES = f"{_HARD}/test_headers.py", f"{_HARD}/test_bodies.py"
_FRAMING, _DOCUMENTS = f"{_HARD}/test_framing.py", f"{_HARD}/test_documents.py"
_SIGNATURES, _FORMS = f"{_HARD}/test_signatures.py", f"{_WIRE}/test_forms.py"
_CHUNKS, _PROTOCOL = f"{_WIRE}/test_aws_chunked.py", "tests/unit/process/test_protocol.py"
_BROKER = "tests/events/test_broker_failures.py"
_ADMISSION = "tests/unit/process/test_admission.py"
_DEADLINES = "tests/unit/process/test_protocol_bodies.py"
_PARTS, _MULTIPART = f"{_OPS}/test_multipart_parts.py", f"{_OPS}/test_multipart.py"

# Row of 4.4 to 4.7: tests.
ROWS: dict[int, tuple[str, ...]] = {
    45: (
        f"{_HARD}/test_browsers.py::test_control_characters_in_rules_are_refused_when_written",
        f"{_HARD}/test_browsers.py::test_control_characters_in_rules_are_refused_when_sent",
        f"{_HEADERS}::test_stored_header_never_splits_an_answer",
    ),
    46: (
        f"{_HEADERS}::test_override_never_splits_an_answer",
        f"{_HEADERS}::test_names_never_split_an_answer",
    ),
    47: (f"{_OPS}/test_object_get.py::test_anonymous_request_overrides_nothing",),
    48: (f"{_HEADERS}::test_text_of_a_client_is_never_markup_in_an_answer",),
    49: ("tests/unit/test_logs.py::test_control_characters_are_escaped_for_people",),
    50: (f"{_HARD}/test_faults.py::test_log_of_a_fault_holds_no_secret_and_no_signature",),
    51: (
        f"{_WIRE}/test_wire_metadata.py::test_any_value_survives_the_wire",
        f"{_HEADERS}::test_metadata_that_comes_twice_is_joined",
    ),
    52: (
        f"{_FRAMING}::test_framing_that_is_ambiguous_is_refused",
        f"{_FRAMING}::test_request_behind_a_refused_one_is_never_answered",
    ),
    53: (f"{_HARD}/test_fuzz.py::test_no_request_causes_a_traceback",),
    54: (f"{_BODIES}::test_framing_on_a_route_without_body_is_an_answer",),
    55: (f"{_CHUNKS}::test_stream_cut_at_every_byte_is_incomplete",),
    56: (f"{_FRAMING}::test_wrong_signature_is_answered_before_the_body",),
    57: (
        "tests/crash/test_cut_uploads.py::test_cut_uploads_leave_no_file_no_object_and_no_descriptor",
    ),
    58: (f"{_DOCUMENTS}::test_document_above_the_limit_is_never_received",),
    59: (
        f"{_FORMS}::test_20_kib_may_come_before_the_file",
        f"{_FORMS}::test_20_kib_may_come_after_the_file",
        f"{_FORMS}::test_anything_is_read_or_refused",
    ),
    60: (
        f"{_WIRE}/test_ranges.py::test_megabyte_of_ranges_takes_linear_time",
        f"{_OPS}/test_object_ranges.py::test_overlapping_ranges_never_cost_more_than_the_object",
    ),
    61: (f"{_WIRE}/test_wire_metadata.py::test_hostile_encoded_words_are_read_in_linear_time",),
    62: (
        f"{_OPS}/test_bucket_list.py::test_page_size_is_told",
        "tests/unit/core/test_listing.py::test_delimiter_seeks_past_what_it_folds",
    ),
    63: (f"{_HARD}/test_every_route.py::test_operation_without_handler_says_so",),
    64: (f"{_DOCUMENTS}::test_malformed_document_deletes_nothing",),
    65: (f"{_HARD}/test_fuzz.py::test_no_request_causes_a_traceback",),
    66: (f"{_OPS}/test_bucket_lifecycle.py::test_rules_that_cannot_be_meant_are_refused",),
    67: (f"{_OPS}/test_object_tagging.py::test_limits_are_those_of_s3",),
    69: (f"{_OPS}/test_sns.py::test_wrong_attributes_are_refused_and_nothing_is_made",),
    70: (f"{_OPS}/test_sns.py::test_secrets_are_neither_shown_nor_stored_in_the_clear",),
    71: (
        "tests/events/test_broker_failures.py::test_broker_that_never_answers_does_not_slow_writes",
    ),
    68: (f"{_HARD}/test_limits.py::test_address_that_guesses_is_no_longer_heard",),
}
MISSING: dict[int, str] = {}

# Input of section 5: tests of its limit and code.
LIMITS: dict[str, tuple[str, ...]] = {
    "object key": (
        f"{_HARD}/test_keys.py::test_key_of_1025_bytes_is_too_long",
        f"{_HARD}/test_keys.py::test_bytes_that_are_no_key_are_no_uri",
    ),
    "single PUT": (f"{_WIRE}/test_body.py::test_more_than_five_gibibytes_are_too_large",),
    "copy above 5 GiB": (
        f"{_OPS}/test_object_copy.py::test_source_above_the_limit_is_refused",
        f"{_PARTS}::test_copied_part_above_the_limit_is_refused",
    ),
    "part number": (f"{_PARTS}::test_part_number_out_of_range_stores_nothing",),
    "part size": (f"{_MULTIPART}::test_part_one_byte_below_the_limit_is_too_small",),
    "complete": (
        f"{_MULTIPART}::test_wrong_choice_of_parts_completes_nothing",
        f"{_MULTIPART}::test_unknown_upload_is_unknown_everywhere",
    ),
    "list page": (f"{_OPS}/test_bucket_list.py::test_page_size_that_is_no_number_is_refused",),
    "DeleteObjects": (
        f"{_OPS}/test_object_delete.py::test_request_has_1_to_1000_keys",
        f"{_OPS}/test_object_delete.py::test_body_needs_a_digest",
    ),
    "user metadata": (f"{_WIRE}/test_parse.py::test_metadata_has_at_most_2_kb",),
    "request header section": (f"{_PROTOCOL}::test_too_large_header_section_is_refused",),
    "POST form": (f"{_FORMS}::test_form_has_exactly_one_file",),
    "bucket name": (f"{_HARD}/test_keys.py::test_bad_name_is_no_bucket",),
    "bucket create twice": (
        f"{_OPS}/test_bucket.py::test_own_bucket_cannot_be_created_again",
        f"{_OPS}/test_bucket.py::test_bucket_of_another_cannot_be_created",
        f"{_OPS}/test_bucket.py::test_bucket_with_an_object_stays",
    ),
    "bucket policy": (f"{_OPS}/test_bucket_policy.py::test_policy_may_have_20_kilobytes",),
    "tags": (f"{_OPS}/test_bucket_tagging.py::test_limits_are_those_of_s3",),
    "lifecycle": (f"{_OPS}/test_bucket_lifecycle.py::test_thousand_rules_are_allowed",),
    "CORS": (f"{_OPS}/test_bucket_cors.py::test_what_browsers_could_not_be_told_is_refused",),
    "version id": (
        f"{_OPS}/test_bucket_versioning.py::test_what_is_no_version_id_is_an_invalid_argument",
    ),
    "clock skew": (f"{_SIGNATURES}::test_clock_of_a_client_may_be_15_minutes_off",),
    "presign expiry": (
        f"{_SIGNATURES}::test_link_lives_1_second_to_7_days",
        f"{_SIGNATURES}::test_link_ends_at_its_second",
    ),
    "two auth mechanisms": (f"{_SIGNATURES}::test_one_request_has_one_mechanism",),
    "credential scope": (f"{_HARD}/test_addressing.py::test_wrong_region_is_told_the_right_one",),
    "unknown key": (f"{_HARD}/test_every_route.py::test_unknown_key_is_refused",),
    "unsigned x-amz-* header": (f"{_SIGNATURES}::test_every_amz_header_must_be_signed",),
    "x-amz-content-sha256": (f"{_SIGNATURES}::test_body_hash_must_be_sent_and_be_one",),
    "digests": (f"{_BODIES}::test_broken_promise_stores_nothing",),
    "aws-chunked": (
        f"{_BODIES}::test_signed_chunks_but_the_last_have_8_kib",
        f"{_BODIES}::test_decoded_length_must_be_told",
    ),
    "no length": (f"{_BODIES}::test_length_must_be_told",),
    "short body": (f"{_BODIES}::test_body_shorter_than_promised_stores_nothing",),
    "idle body": (f"{_DEADLINES}::test_stalled_body_is_answered_with_request_timeout",),
    "range": (f"{_OPS}/test_object_ranges.py::test_more_than_1024_ranges_get_the_whole_object",),
    "conditionals": (
        f"{_HARD}/test_conditional_writes.py::test_write_takes_place_if_its_condition_holds",
    ),
    "lock": (f"{_OPS}/test_object_lock.py::test_bad_documents_change_nothing",),
    "method or sub-resource unknown": (
        f"{_HARD}/test_every_route.py::test_sub_resource_never_reaches_the_plain_write",
        f"{_HARD}/test_every_route.py::test_method_that_nobody_handles_is_not_allowed",
    ),
    "overload": (
        f"{_ADMISSION}::test_request_beyond_the_limit_is_told_to_slow_down_and_when",
        f"{_HARD}/test_overload.py::test_connections_beyond_the_limit_are_answered_and_ended",
    ),
    "disk full": (f"{_HARD}/test_faults.py::test_fault_becomes_an_answer",),
}
