"""What policies would say to a question, without asking it in earnest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from s3server import errors
from s3server.arns import iam_arn
from s3server.auth.policy import NOBODY, Policy, Question, Statement, Verdict, evaluate
from s3server.auth.policy_parse import PolicyError, parse_policy
from s3server.core.directory import GROUPS, ROLES, USERS
from s3server.core.records import IdentityRecord
from s3server.errors import NoSuchEntity
from s3server.iam_errors import InvalidInput
from s3server.operation import Ctx, handles
from s3server.ops.iam_shapes import page_of

_KINDS = {"user": USERS, "group": GROUPS, "role": ROLES}
_NOT_HERE = ("CallerArn", "ResourceHandlingOption", "ResourceOwner", "ResourcePolicy")
_DECISIONS = {
    Verdict.ALLOW: "allowed", Verdict.DENY: "explicitDeny", Verdict.SILENT: "implicitDeny",
}  # fmt: skip


@handles("SimulateCustomPolicy")
async def simulate_custom_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Tell what policies of the request would say."""
    texts = [
        (f"PolicyInputList.{number}", text)
        for number, text in enumerate(request["PolicyInputList"], 1)
    ]
    return _simulate(request, texts, _boundaries(request))


@handles("SimulatePrincipalPolicy")
async def simulate_principal_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Tell what the policies of a user, group or role would say, with those of the request."""
    holder, noun = await _holder(ctx, request["PolicySourceArn"])
    texts = await _texts(ctx, holder)
    if noun == "user":
        for group in await ctx.services.iam.groups.of_user(holder):  # type: ignore[arg-type]
            texts += await _texts(ctx, group)
    texts += [
        (f"PolicyInputList.{number}", text)
        for number, text in enumerate(request.get("PolicyInputList") or [], 1)
    ]
    boundaries = _boundaries(request)
    if not boundaries and holder.bindings.boundary:
        boundaries = [await _managed(ctx, holder.bindings.boundary)]
    return _simulate(request, texts, boundaries)


async def _holder(ctx: Ctx, arn: str) -> tuple[IdentityRecord, str]:
    parts = arn.split(":", 5)
    noun, _, path = parts[-1].partition("/")
    if len(parts) != 6 or parts[:3] != ["arn", "aws", "iam"] or noun not in _KINDS:
        raise InvalidInput(f"Invalid Entity Arn: {arn}")
    account, name = ctx.principal.account, path.rpartition("/")[2]
    kind: Any = _KINDS[noun]
    found = await ctx.services.iam.directory.find(kind, account, name)
    if found is None or iam_arn(found.account, noun, found.path, found.name) != arn:
        raise NoSuchEntity(f"The {noun} with name {name} cannot be found.")
    return found, noun


async def _texts(ctx: Ctx, holder: IdentityRecord) -> list[tuple[str, str]]:
    """Return names and texts of the policies that an identity has."""
    inline = await ctx.services.iam.attachments.all_inline(holder)
    managed = [(arn, await _managed(ctx, arn)) for arn in holder.bindings.managed]
    return [*inline, *managed]


async def _managed(ctx: Ctx, arn: str) -> str:
    policies = ctx.services.iam.policies
    policy = await policies.get(ctx.principal.account, arn)
    return await policies.text(policy, policy.default)


def _boundaries(request: dict[str, Any]) -> list[str]:
    return request.get("PermissionsBoundaryPolicyInputList") or []


class _Context:
    """The condition keys of a simulation; what is asked for and not given is noted."""

    def __init__(self, entries: Sequence[Mapping[str, Any]]) -> None:
        self._given = {
            entry["ContextKeyName"].lower(): tuple(entry.get("ContextKeyValues") or ())
            for entry in entries
            if "ContextKeyName" in entry
        }
        self.missing: set[str] = set()

    def find(self, key: str) -> tuple[str, ...]:
        """Return the values of a key; see `wildcard.Keys`."""
        if key not in self._given:
            self.missing.add(key)
        return self._given.get(key, ())


def _simulate(
    request: dict[str, Any], texts: Sequence[tuple[str, str]], boundaries: Sequence[str]
) -> dict[str, Any]:
    for name in _NOT_HERE:
        if name in request:
            raise errors.NotImplemented(f"Simulation with {name} is not implemented.")
    policies = [(name, _parse(text)) for name, text in texts]
    limits = [_parse(text) for text in boundaries]
    results = [
        _result(request, policies, limits, action, resource)
        for action in request["ActionNames"]
        for resource in request.get("ResourceArns") or ["*"]
    ]
    order = {id(result): f"{number:010}" for number, result in enumerate(results)}
    return page_of(
        request,
        "EvaluationResults",
        results,
        lambda result: order[id(result)],
        lambda result: result,
    )


def _result(
    request: dict[str, Any],
    policies: Sequence[tuple[str, Policy]],
    limits: Sequence[Policy],
    action: str,
    resource: str,
) -> dict[str, Any]:
    context = _Context(request.get("ContextEntries") or [])
    question = Question(NOBODY, action, resource, context)
    verdict = evaluate([policy for _, policy in policies], question)
    within = all(evaluate([limit], question) is Verdict.ALLOW for limit in limits)
    if verdict is Verdict.ALLOW and not within:
        verdict = Verdict.SILENT
    result: dict[str, Any] = {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": _DECISIONS[verdict],
        "MatchedStatements": [
            {"SourcePolicyId": name, "SourcePolicyType": "IAM Policy"}
            for name, policy in policies
            for statement in policy.statements
            if _decides(statement, verdict, question)
        ],
        "MissingContextValues": sorted(context.missing),
    }
    if limits:
        result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": within}
    return result


def _decides(statement: Statement, verdict: Verdict, question: Question) -> bool:
    if verdict is Verdict.SILENT or statement.allows != (verdict is Verdict.ALLOW):
        return False
    return statement.applies(question)


def _parse(text: str) -> Policy:
    try:
        return parse_policy(text, has_principals=False)
    except PolicyError as error:
        raise InvalidInput(f"Invalid policy: {error}") from None
