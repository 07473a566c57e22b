"""What requests carry: XML documents of S3, forms of IAM, STS and SNS, tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

from s3server.core.lifecycle_rules import parse_rules
from s3server.core.tags import check_tags
from s3server.core.topic_attributes import check_attributes
from s3server.errors import S3Error
from s3server.events.endpoints import AllowList
from s3server.model import HttpRequest
from s3server.model import Target as Place
from s3server.wire import cors, website
from s3server.wire.parse import compile_parser
from s3server.wire.query_protocol import read_form
from s3server.wire.routing import Router
from s3server.wire.service_model import VERSIONS, load_model
from s3server.wire.tagging import parse_tagging
from s3server.wire.validate import compile_check
from tests.support.fuzzing import Target

XMLNS = b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
OPERATIONS = load_model("s3").operations
Check = Callable[[dict[str, Any]], object]


def nothing(_: dict[str, Any]) -> None: ...


def tag_sets(request: dict[str, Any]) -> None:
    check_tags([(tag["Key"], tag["Value"]) for tag in request["Tagging"]["TagSet"]], most=10)


# Operation: a document that it takes, and what is made of it.
DOCUMENTS: dict[str, tuple[bytes, Check]] = {
    "PutBucketLifecycleConfiguration": (
        (
            b"<LifecycleConfiguration%s><Rule><ID>a</ID><Status>Enabled</Status><Filter><And>"
            b"<Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeGreaterThan>5"
            b"</ObjectSizeGreaterThan></And></Filter><Expiration><Days>3</Days></Expiration>"
            b"<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>1"
            b"</NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule><Rule><ID>b</ID><Prefix/>"
            b"<Status>Disabled</Status><Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>"
            b"<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>"
            b"</AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"
        ),
        lambda request: parse_rules(request["LifecycleConfiguration"]),
    ),
    "PutBucketCors": (
        (
            b"<CORSConfiguration%s><CORSRule><ID>a</ID><AllowedOrigin>https://*.site.org</AllowedOrigin>"
            b"<AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedHeader>*"
            b"</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds>"
            b"</CORSRule></CORSConfiguration>"
        ),
        lambda request: cors.check_rules(request["CORSConfiguration"]["CORSRules"]),
    ),
    "PutBucketWebsite": (
        (
            b"<WebsiteConfiguration%s><IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
            b"<ErrorDocument><Key>error.html</Key></ErrorDocument><RoutingRules><RoutingRule><Condition>"
            b"<KeyPrefixEquals>docs/</KeyPrefixEquals><HttpErrorCodeReturnedEquals>404"
            b"</HttpErrorCodeReturnedEquals></Condition><Redirect><ReplaceKeyPrefixWith>documents/"
            b"</ReplaceKeyPrefixWith><Protocol>https</Protocol><HttpRedirectCode>302</HttpRedirectCode>"
            b"</Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>"
        ),
        lambda request: website.check_website(request["WebsiteConfiguration"]),
    ),
    "PutBucketTagging": (
        (
            b"<Tagging%s><TagSet><Tag><Key>team</Key><Value>a b</Value></Tag><Tag><Key>x</Key>"
            b"<Value/></Tag></TagSet></Tagging>"
        ),
        tag_sets,
    ),
    "PutBucketNotificationConfiguration": (
        (
            b"<NotificationConfiguration%s><TopicConfiguration><Id>a</Id><Topic>arn:aws:sns:us-east-1:"
            b"000000000000:t</Topic><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>"
            b"prefix</Name><Value>a/</Value></FilterRule></S3Key><S3Metadata><FilterRule><Name>x</Name>"
            b"<Value>y</Value></FilterRule></S3Metadata></Filter></TopicConfiguration>"
            b"</NotificationConfiguration>"
        ),
        nothing,
    ),
    "DeleteObjects": (
        (
            b"<Delete%s><Object><Key>a</Key><VersionId>null</VersionId></Object><Object><Key>b&#x41;"
            b"</Key><ETag>x</ETag></Object><Quiet>true</Quiet></Delete>"
        ),
        nothing,
    ),
    "CompleteMultipartUpload": (
        (
            b'<CompleteMultipartUpload%s><Part><PartNumber>1</PartNumber><ETag>"0"</ETag>'
            b"<ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part><Part><PartNumber>2</PartNumber><ETag>1"
            b"</ETag></Part></CompleteMultipartUpload>"
        ),
        nothing,
    ),
    "CreateBucket": (
        (
            b"<CreateBucketConfiguration%s><LocationConstraint>eu:cold</LocationConstraint><Tags><Tag>"
            b"<Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>"
        ),
        nothing,
    ),
    "PutBucketVersioning": (
        (
            b"<VersioningConfiguration%s><Status>Enabled</Status><MfaDelete>Disabled</MfaDelete>"
            b"</VersioningConfiguration>"
        ),
        nothing,
    ),
    "PutBucketAcl": (
        (
            b"<AccessControlPolicy%s><Owner><ID>a</ID></Owner><AccessControlList><Grant>"
            b"<Grantee "
            b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">'
            b"<ID>a</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList>"
            b"</AccessControlPolicy>"
        ),
        nothing,
    ),
    "PutObjectLockConfiguration": (
        (
            b"<ObjectLockConfiguration%s><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
            b"<DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule>"
            b"</ObjectLockConfiguration>"
        ),
        nothing,
    ),
    "PutObjectRetention": (
        (
            b"<Retention%s><Mode>COMPLIANCE</Mode><RetainUntilDate>2030-01-01T00:00:00Z"
            b"</RetainUntilDate></Retention>"
        ),
        nothing,
    ),
    "PutBucketInventoryConfiguration": (
        (
            b"<InventoryConfiguration%s><Id>a</Id><IsEnabled>true</IsEnabled><Destination>"
            b"<S3BucketDestination><Bucket>arn:aws:s3:::b</Bucket><Format>CSV</Format>"
            b"</S3BucketDestination></Destination><Schedule><Frequency>Daily</Frequency></Schedule>"
            b"<IncludedObjectVersions>All</IncludedObjectVersions><OptionalFields><Field>Size</Field>"
            b"</OptionalFields></InventoryConfiguration>"
        ),
        nothing,
    ),
    "PutBucketLogging": (
        (
            b"<BucketLoggingStatus%s><LoggingEnabled><TargetBucket>b</TargetBucket><TargetPrefix>a/"
            b"</TargetPrefix><TargetObjectKeyFormat><SimplePrefix/></TargetObjectKeyFormat>"
            b"</LoggingEnabled></BucketLoggingStatus>"
        ),
        nothing,
    ),
    "PutBucketEncryption": (
        (
            b"<ServerSideEncryptionConfiguration%s><Rule><ApplyServerSideEncryptionByDefault>"
            b"<SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>"
            b"false</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>"
        ),
        nothing,
    ),
    "PutPublicAccessBlock": (
        (
            b"<PublicAccessBlockConfiguration%s><BlockPublicAcls>true</BlockPublicAcls>"
            b"<RestrictPublicBuckets>FALSE</RestrictPublicBuckets></PublicAccessBlockConfiguration>"
        ),
        nothing,
    ),
    "PutBucketOwnershipControls": (
        (
            b"<OwnershipControls%s><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>"
            b"</OwnershipControls>"
        ),
        nothing,
    ),
}
PLACE = Place("data", "key")
REQUEST = HttpRequest("PUT", "/data/key", "", {"content-type": "text/xml"})


def reader(name: str, check: Check) -> Callable[[bytes], None]:
    """Return what parses an operation's document, and looks at it as its handler does."""
    operation = OPERATIONS[name]
    parse, check_shape = compile_parser(operation), compile_check(operation)
    query = (
        dict.fromkeys(
            (m.wire for m in operation.input.members.values() if m.location == "querystring"), "1"
        )
        if operation.input
        else {}
    )

    def read(body: bytes) -> None:
        request = parse(REQUEST, PLACE, query, body)
        check_shape(request)
        check(request)

    return read


_MARKS = re.compile(rb"<(/?)(\w+)[^>]*?(/?)>|([^<]+)").findall


def outline(document: bytes) -> bytes:
    """Return a document as lines: +element, =text, and - for an end."""
    lines = []
    for end, name, is_empty, text in _MARKS(document):
        lines += [b"=" + text] if text else [b"-"] if end else [b"+" + name]
        lines += [b"-"] if is_empty else []
    return b"\n".join(lines)


def built(data: bytes) -> bytes:
    """Return the document of an outline: well-formed, whatever its lines are."""
    pieces, opened = [], []
    for line in data.split(b"\n"):
        kind, text = line[:1], line[1:]
        if kind == b"+" and text.isalnum() and text[:1].isalpha():
            pieces.append(b"<%s>" % text)
            opened.append(text)
        elif kind == b"-" and len(opened) > 1:
            pieces.append(b"</%s>" % opened.pop())
        elif kind == b"=" and opened:
            pieces.append(b"<![CDATA[%s]]>" % text.replace(b"]]>", b""))
    return b"".join([*pieces, *(b"</%s>" % name for name in reversed(opened))])


def document_targets(name: str) -> Iterator[Target]:
    """Give an operation's document to be broken as text, and as elements."""
    document, check = DOCUMENTS[name]
    read = reader(name, check)
    corpus = (document % XMLNS, document % b"", b'<?xml version="1.0"?>\n' + document % b"")
    yield Target(name, corpus, read, (S3Error,), 4_000)
    if name == "PutBucketAcl":
        return  # it has an attribute, which an outline has not
    outlines = (outline(document % b""),)
    yield Target(f"{name}, well-formed", outlines, lambda one: read(built(one)), (S3Error,), 4_000)


ROUTER = Router([load_model(service) for service in VERSIONS])
PARSERS: dict[str, tuple[Any, Any]] = {}
_USER, _ROLE = "arn:aws:iam::000000000000:user/a", "arn:aws:iam::000000000000:role/a"
IAM, STS, SNS = "2010-05-08", "2011-06-15", "2010-03-31"
FORMS = tuple(
    urlencode({"Action": action, "Version": version, **fields}).encode()
    for version, action, fields in (
        (IAM, "CreateUser", {"UserName": "a", "Tags.member.1.Key": "k",
                             "Tags.member.1.Value": "v"}),
        (IAM, "PutUserPolicy", {"UserName": "a", "PolicyName": "p", "PolicyDocument": "{}"}),
        (IAM, "SimulatePrincipalPolicy", {
            "PolicySourceArn": _USER, "ActionNames.member.1": "s3:GetObject", "MaxItems": "10",
            "ContextEntries.member.1.ContextKeyName": "aws:username",
            "ContextEntries.member.1.ContextKeyValues.member.1": "a",
            "ContextEntries.member.1.ContextKeyType": "string",
        }),
        (STS, "AssumeRole", {"RoleArn": _ROLE, "RoleSessionName": "job", "DurationSeconds": "900"}),
        (SNS, "CreateTopic", {"Name": "t", "Attributes.entry.1.key": "push-endpoint",
                              "Attributes.entry.1.value": "amqp://broker.test:5672"}),
    )
)  # fmt: skip


def read_query_form(body: bytes) -> None:
    form = read_form(body)
    operation = ROUTER.find_query_operation(form.get("Action", ""), form.get("Version"), None)
    if operation.name not in PARSERS:
        PARSERS[operation.name] = compile_parser(operation), compile_check(operation)
    parse, check = PARSERS[operation.name]
    check(parse(REQUEST, PLACE, {}, form))


ALLOWED = AllowList(["broker.test:5672", "*.hooks.test:*"])
ATTRIBUTES = (
    b"push-endpoint=amqps://user:secret@broker.test:5672/vhost\namqp-exchange=x\nuse-ssl=true",
    b"push-endpoint=https://a.hooks.test:443/path\nverify-ssl=false\ntime_to_live=5",
    b"push-endpoint=kafka://broker.test:5672\nca-location=/etc/ssl/certs/a.pem\npersistent=true",
)


def read_attributes(data: bytes) -> None:
    pairs = (line.partition("=") for line in data.decode("utf-8", "replace").split("\n"))
    check_attributes({name: value for name, _, value in pairs}, ALLOWED, "/etc/ssl/certs")


def read_tags(data: bytes) -> None:
    check_tags(parse_tagging(data.decode("latin-1")), most=10)


TARGETS = (
    *(target for name in DOCUMENTS for target in document_targets(name)),
    Target("forms of IAM, STS and SNS", FORMS, read_query_form, (S3Error,), 12_000),
    Target("attributes of topics", ATTRIBUTES, read_attributes, (S3Error,), 6_000),
    Target("tags in a header", (b"team=a%20b&x=", b"a=b"), read_tags, (S3Error,), 8_000),
)
