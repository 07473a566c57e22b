"""The grid of rights: everybody, with much or little leave, against every service and project.

The rules that the table follows from, with where they are laid down:

- Root runs the store: all of S3 and SNS, and IAM in its own project. It becomes no role and needs
  no session (docs/how-to/identities.md).
- A user or a session of a role does what its own policies allow, in its own project. In another's
  it takes leave of both sides: its own policies, and the policy or ACL of the resource ("Policy
  evaluation logic", AWS IAM user guide). IAM is only about one's own project; what is AWS's is read
  by all and changed by nobody.
- A session of a user is its user, but has no part in IAM, nor in STS beyond AssumeRole and
  GetCallerIdentity ("GetSessionToken", STS API reference). It needs the same leave.
- A session of a role is the role, however it came by it, and makes no session of a user.
- Nobody reads what is public to the world, and that is all. Topics are never public to the world.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.everybody import (
    CERTIFICATES,
    TOPIC,
    Person,
    Site,
    federation,
    run_site,
    trusting,
)
from tests.support.iam import ACCOUNT, allow, policy

pytestmark = pytest.mark.clients

LEAVE = {
    "all": allow("*"),
    "reads": allow("s3:Get*", "s3:List*", "iam:Get*", "iam:List*", "iam:Simulate*", "sns:Get*",
                   "sns:List*"),
    "nothing": "",
}  # fmt: skip
# y: always; r: with leave to read, w: with leave for everything; -: never.
TABLE = """
                                            root  user  session  role  nobody
get_object                  own             y     r     r        r     -
list_objects_v2             own             y     r     r        r     -
put_object                  own             y     w     w        w     -
put_bucket_tagging          own             y     w     w        w     -
get_object                  other's         y     -     -        -     -
list_objects_v2             other's         y     -     -        -     -
put_object                  other's         y     -     -        -     -
put_bucket_tagging          other's         y     -     -        -     -
get_object                  granted         y     r     r        r     -
put_object                  granted         y     w     w        w     -
put_bucket_tagging          granted         y     w     w        w     -
get_object                  public          y     r     r        r     y
list_objects_v2             public          y     r     r        r     y
put_object                  public          y     -     -        -     -
put_bucket_tagging          public          y     -     -        -     -
get_user                    own             y     r     -        r     -
list_users                  own             y     r     -        r     -
tag_user                    own             y     w     -        w     -
put_user_policy             own             y     w     -        w     -
create_access_key           own             y     w     -        w     -
get_policy                  other's         -     -     -        -     -
simulate_principal_policy   other's         -     -     -        -     -
create_policy_version       other's         -     -     -        -     -
attach_user_policy          other's         -     -     -        -     -
get_policy                  public          y     r     -        r     -
create_policy_version       public          -     -     -        -     -
get_caller_identity         own             y     y     y        y     -
get_session_token           own             -     y     -        -     -
assume_role                 own             -     w     w        w     -
assume_role                 other's         -     -     -        -     -
assume_role                 granted         -     w     w        w     -
assume_role                 public          -     w     w        w     -
list_topics                 own             y     r     r        r     -
get_topic_attributes        own             y     r     r        r     -
set_topic_attributes        own             y     w     w        w     -
get_topic_attributes        other's         y     -     -        -     -
set_topic_attributes        other's         y     -     -        -     -
get_topic_attributes        granted         y     r     r        r     -
set_topic_attributes        granted         y     w     w        w     -
get_topic_attributes        public          y     r     r        r     -
set_topic_attributes        public          y     -     -        -     -
"""
COLUMNS = {
    "root": ("root",), "user": ("user",), "session": ("session of a user",),
    "role": ("role", "role of a session", "role of a role", "web identity", "certificate"),
    "nobody": ("nobody",),
}  # fmt: skip
ON_FOREIGN_IAM = ("NoSuchEntity", "InvalidInput", "AccessDenied")
REFUSED = {"AccessDenied", "AuthorizationError"}
AWS_POLICY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
HOME = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
SERVICES = {"policy": "iam", "user": "iam", "users": "iam", "key": "iam", "version": "iam",
            "topics": "sns", "attributes": "sns", "identity": "sts", "token": "sts",
            "role": "sts"}  # fmt: skip


def everybody(site: Site) -> Iterator[tuple[str, str, Person]]:
    """Yield who asks, how much leave they have, and their clients."""
    yield "root", "all", site.root
    yield "nobody", "nothing", site.person()
    for level, text in LEAVE.items():
        user = site.user(f"user-{level}", text)
        session = site.session(user)
        own = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/user-{level}"}
        role = site.role(f"role-{level}", trusting(own), text)
        last = site.role(f"last-{level}", trusting({"AWS": role}), text)
        web = site.role(f"web-{level}", federation(site.issuer), text)
        certificate = site.role(f"certificate-{level}", CERTIFICATES, text)
        yield "user", level, user
        yield "session of a user", level, session
        yield "role", level, (first := site.assume(user, role))
        yield "role of a session", level, site.assume(session, role)
        yield "role of a role", level, site.assume(first, last)
        yield "web identity", level, site.by_token(web)
        yield "certificate", level, site.by_proxy(certificate)


def furnish(person: Person, prefix: str, account: str) -> dict[str, str]:
    """Make a bucket, role, topic and policy that nobody else may use; return their names."""
    person("s3", "create_bucket", Bucket=prefix)
    person("s3", "put_object", Bucket=prefix, Key="key", Body=b"content")
    made = person("sns", "create_topic", Name=prefix, Attributes=TOPIC)
    owner = {"AWS": f"arn:aws:iam::{account}:root"}
    document = trusting(owner)
    role = person("iam", "create_role", RoleName=prefix, AssumeRolePolicyDocument=document)
    stored = person("iam", "create_policy", PolicyName=prefix, PolicyDocument=allow("s3:*"))
    return {
        "Bucket": prefix, "TopicArn": made["TopicArn"], "RoleArn": role["Role"]["Arn"],
        "PolicyArn": stored["Policy"]["Arn"],
    }  # fmt: skip


def share(person: Person, made: dict[str, str], principal: Any, reads_only: bool) -> None:
    """Let somebody use all that there is by this name: read it only, or everything."""
    bucket, topic = made["Bucket"], made["TopicArn"]
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    grant = {"Effect": "Allow", "Principal": principal}
    s3_actions, sns_actions = ["s3:*"], ["sns:*"]
    if reads_only:
        s3_actions, sns_actions = ["s3:GetObject", "s3:ListBucket"], ["sns:GetTopicAttributes"]
    text = policy({**grant, "Action": s3_actions, "Resource": resources})
    person("s3", "put_bucket_policy", Bucket=bucket, Policy=text)
    text = policy({**grant, "Action": sns_actions, "Resource": topic})
    person("sns", "set_topic_attributes", TopicArn=topic, AttributeName="Policy",
           AttributeValue=text)  # fmt: skip
    person("iam", "update_assume_role_policy", RoleName=bucket, PolicyDocument=trusting(principal))


Targets = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run_site(tmp_path_factory.mktemp("grid")) as running:
        yield running


@pytest.fixture(scope="module")
def targets(site: Site) -> Targets:
    """What is asked for, by whose it is."""
    own = furnish(site.root, "own", ACCOUNT)
    site.root("iam", "create_user", UserName="target")
    bob = site.administrator_of("away", "bob")
    account = bob("sts", "get_caller_identity")["Account"]
    targets = {"own": own, **{name: furnish(bob, name, account) for name in ("closed", "granted",
                                                                            "public")}}  # fmt: skip
    share(bob, targets["granted"], HOME, reads_only=False)
    share(bob, targets["public"], "*", reads_only=True)
    targets["other's"] = targets.pop("closed")
    targets["other's"]["PolicySourceArn"] = f"arn:aws:iam::{account}:user/bob"
    targets["public"]["PolicyArn"] = AWS_POLICY
    return targets


def ask(person: Person, operation: str, target: dict[str, str]) -> str:
    """Return the error code of an operation, "" where it was done."""
    parameters: dict[str, dict[str, Any]] = {
        "get_object": {"Key": "key"}, "put_object": {"Key": "written"},
        "put_bucket_tagging": {"Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}},
        "get_user": {"UserName": "target"}, "create_access_key": {"UserName": "target"},
        "tag_user": {"UserName": "target", "Tags": [{"Key": "a", "Value": "b"}]},
        "put_user_policy": {"UserName": "target", "PolicyName": "p",
                            "PolicyDocument": allow("s3:*")},
        "attach_user_policy": {"UserName": "target"},
        "create_policy_version": {"PolicyDocument": allow("*"), "SetAsDefault": True},
        "simulate_principal_policy": {"ActionNames": ["s3:GetObject"]},
        "assume_role": {"RoleSessionName": "job"},
        "set_topic_attributes": {"AttributeName": "OpaqueData", "AttributeValue": "x"},
    }  # fmt: skip
    wanted = {
        "assume_role": "RoleArn", "simulate_principal_policy": "PolicySourceArn",
        "get_policy": "PolicyArn", "create_policy_version": "PolicyArn",
        "attach_user_policy": "PolicyArn", "get_topic_attributes": "TopicArn",
        "set_topic_attributes": "TopicArn", "get_object": "Bucket", "put_object": "Bucket",
        "list_objects_v2": "Bucket", "put_bucket_tagging": "Bucket",
    }.get(operation)  # fmt: skip
    service = "s3" if wanted == "Bucket" else SERVICES[operation.rpartition("_")[2]]
    named = {wanted: target[wanted]} if wanted else {}
    try:
        person(service, operation, **named, **parameters.get(operation, {}))
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def read_table() -> Iterator[tuple[str, str, str, str]]:
    """Yield operation, whose, column and letter."""
    head, *lines = TABLE.strip("\n").splitlines()
    for line in lines:
        operation, whose, *letters = line.split()
        for column, letter in zip(head.split(), letters, strict=True):
            yield operation, whose, column, letter


def test_everybody_may_what_the_table_says_and_nothing_else(site: Site, targets: Targets) -> None:
    enough = {"y": ("all", "reads", "nothing"), "r": ("all", "reads"), "w": ("all",), "-": ()}
    wrong = []
    for who, level, person in everybody(site):
        for operation, whose, column, letter in read_table():
            if who not in COLUMNS[column]:
                continue
            code = ask(person, operation, targets[whose])
            refusals = REFUSED | set(ON_FOREIGN_IAM if letter == "-" else ())
            if (code == "") != (level in enough[letter]) or code not in {"", *refusals}:
                wrong.append((who, level, operation, whose, code or "done"))
        person.close()
    assert wrong == []
