"""The evaluator against a model of it that was written apart from it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from s3server.auth.own_law import OwnLaw
from s3server.auth.policy import Policy, Question, Requester, Verdict, evaluate
from s3server.auth.policy_index import PolicyIndex
from s3server.auth.policy_parse import parse_policy
from tests.support.policy_model import Asked, decide

ACCOUNTS, USERS = ["red", "blue"], ["ann", "bob"]
KEYS = ["aws:username", "s3:prefix", "s3:max-keys", "aws:unheard"]
VALUES = ["", "ann", "a", "10", "9", "*", "home/ann"]
ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:ListBucket"]
RESOURCES = ["arn:aws:s3:::b", "arn:aws:s3:::b/x", "arn:aws:s3:::b/ann/x", "arn:aws:s3:::b/*"]

operators = st.builds(
    lambda quantifier, name, if_exists: quantifier + name + if_exists,
    st.sampled_from(["", "", "ForAllValues:", "ForAnyValue:"]),
    st.sampled_from(["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"]),
    st.sampled_from(["", "IfExists"]),
)
texts = st.sampled_from(
    ["ann", "a*", "?nn", "", "10", "${aws:username}", "home/${aws:username, 'all'}", "${*}", "*"]
)
numeric = st.builds(
    lambda quantifier, name: quantifier + name,
    st.sampled_from(["", "ForAllValues:", "ForAnyValue:"]),
    st.sampled_from(
        ["NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericGreaterThanEquals"]
    ),
)


def some(one: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(one, st.lists(one, min_size=1, max_size=2))


conditions = st.one_of(
    st.just({}),
    st.dictionaries(
        operators, st.dictionaries(st.sampled_from(KEYS), some(texts), min_size=1), max_size=2
    ),
    st.dictionaries(
        numeric,
        st.dictionaries(st.sampled_from(KEYS), some(st.sampled_from(["9", "10"])), min_size=1),
        max_size=1,
    ),
    st.builds(
        lambda key, value: {"Null": {key: value}},
        st.sampled_from(KEYS),
        some(st.sampled_from(["true", "false"])),
    ),
)
principals = st.one_of(
    st.just("*"),
    some(
        st.one_of(
            st.just("*"),
            st.sampled_from(ACCOUNTS),
            st.builds("arn:aws:iam::{}:root".format, st.sampled_from(ACCOUNTS)),
            st.builds(
                "arn:aws:iam::{}:user/{}".format, st.sampled_from(ACCOUNTS), st.sampled_from(USERS)
            ),
        )
    ).map(lambda names: {"AWS": names}),
)
actions = some(st.sampled_from([*ACTIONS, "s3:*", "s3:Get*", "S3:putobject", "*", "s3:???Object"]))
resources = some(
    st.sampled_from([*RESOURCES, "*", "arn:aws:s3:::b*", "arn:aws:s3:::b/${aws:username}/*"])
)


@st.composite
def statements(draw: st.DrawFn) -> dict[str, Any]:
    effect = draw(st.sampled_from(["Allow", "Deny"]))
    opposite = effect == "Deny" and draw(st.booleans())
    return {
        "Effect": effect,
        "NotPrincipal" if opposite else "Principal": draw(principals),
        draw(st.sampled_from(["Action", "NotAction"])): draw(actions),
        draw(st.sampled_from(["Resource", "NotResource"])): draw(resources),
        "Condition": draw(conditions),
    }


policies = st.builds(
    lambda version, found: {"Version": version, "Statement": found},
    st.sampled_from(["2012-10-17", "2008-10-17"]),
    st.lists(statements(), min_size=1, max_size=3),
)
questions = st.builds(
    Asked,
    account=st.sampled_from(["", *ACCOUNTS]),
    user=st.sampled_from(USERS),
    action=st.sampled_from(ACTIONS),
    resource=st.sampled_from(RESOURCES),
    keys=st.fixed_dictionaries(
        {key: st.lists(st.sampled_from(VALUES), max_size=2).map(tuple) for key in KEYS[:-1]}
    ),
)


IDS = tuple(
    (f"arn:aws:iam::{account}:user/{user}", f"id of {user} of {account}")
    for account in ACCOUNTS
    for user in USERS
)


def _requester(asked: Asked) -> Requester:
    arn = f"arn:aws:iam::{asked.account}:user/{asked.user}"
    return Requester((arn,), asked.account, dict(IDS).get(arn, ""))


class _Keys:
    def __init__(self, asked: Asked) -> None:
        self.find = asked.keys.get


@settings(max_examples=1_500)
@given(policies, questions)
def test_evaluator_agrees_with_the_model(policy: dict[str, Any], asked: Asked) -> None:
    who = _requester(asked) if asked.account else Requester()
    parsed = parse_policy(json.dumps(policy), has_principals=True, bound=IDS)
    question = Question(who, asked.action, asked.resource, _Keys(asked))
    assert evaluate([parsed], question).value == decide(policy, asked)


@settings(max_examples=200)
@given(st.lists(policies, max_size=4), st.lists(policies, max_size=2), questions, st.booleans())
def test_own_law_is_what_the_model_says_of_each_policy(
    allowing: list[dict[str, Any]], limiting: list[dict[str, Any]], asked: Asked, is_bound: bool
) -> None:
    """Of identity policies: a deny of any outweighs all, and each limit has to allow."""
    own, limits = (
        [_of_identity(policy) for policy in documents] for documents in (allowing, limiting)
    )
    law = OwnLaw(
        is_bound,
        PolicyIndex(map(_parsed, own)),
        tuple(PolicyIndex([_parsed(one)]) for one in limits),
    )
    question = Question(Requester(), asked.action, asked.resource, _Keys(asked))
    said = [decide(_of_everybody(one), asked) for one in own]
    within = all(decide(_of_everybody(one), asked) == "allow" for one in limits)
    expected = "deny" if "deny" in said or not within else "allow" if "allow" in said else "silent"
    for _ in range(2):  # found, and known
        verdict = law.verdict(question)
        assert verdict is (Verdict(expected) if is_bound or expected == "deny" else None)


def _of_identity(policy: dict[str, Any]) -> dict[str, Any]:
    parts = [
        {name: value for name, value in part.items() if "Principal" not in name}
        for part in policy["Statement"]
    ]
    return {**policy, "Statement": parts}


def _of_everybody(policy: dict[str, Any]) -> dict[str, Any]:
    return {**policy, "Statement": [{**part, "Principal": "*"} for part in policy["Statement"]]}


def _parsed(policy: dict[str, Any]) -> Policy:
    return parse_policy(json.dumps(policy), has_principals=False)


@settings(max_examples=300)
@given(policies, policies, questions)
def test_further_denies_never_permit_more(
    policy: dict[str, Any], other: dict[str, Any], asked: Asked
) -> None:
    denies = [one for one in other["Statement"] if one["Effect"] == "Deny"]
    longer = {**policy, "Statement": policy["Statement"] + denies}
    order = {"deny": 0, "silent": 1, "allow": 2}
    verdicts = []
    for document in (policy, longer):
        parsed = parse_policy(json.dumps(document), has_principals=True, bound=IDS)
        question = Question(_requester(asked), asked.action, asked.resource, _Keys(asked))
        verdicts.append(order[evaluate([parsed], question).value])
    assert verdicts[1] <= verdicts[0]


@settings(max_examples=300)
@given(policies, questions)
def test_names_of_others_never_permit_more(policy: dict[str, Any], asked: Asked) -> None:
    """Who has a name that was somebody else's is no better off than who has none of those named."""
    order = {"deny": 0, "silent": 1, "allow": 2}
    parsed = parse_policy(json.dumps(policy), has_principals=True, bound=IDS)
    named = _requester(asked)
    verdicts = []
    nameless = replace(named, arns=(), canonical_id="")
    for who in (nameless, replace(named, canonical_id="x")):
        question = Question(who, asked.action, asked.resource, _Keys(asked))
        verdicts.append(order[evaluate([parsed], question).value])
    assert verdicts[1] <= verdicts[0]
