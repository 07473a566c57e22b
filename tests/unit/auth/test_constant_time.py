"""No signature, token or digest is compared with ==: that takes longer the more of it is right."""

import ast
from pathlib import Path

import pytest

import s3server.auth

SECRET_NAMES = {"signature", "expected", "given", "secret", "token", "mac"}


def found_in(source):
    """Return the lines that compare something secret with ==."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and _compares_equal(node):
            sides = [node.left, *node.comparators]
            if SECRET_NAMES & {word for side in sides for word in _words(side)}:
                found.append(node.lineno)
    return found


def test_secrets_are_not_compared_with_equals():
    found = []
    for path in sorted(Path(s3server.auth.__path__[0]).glob("*.py")):
        found += [f"{path.name}:{line}" for line in found_in(path.read_text())]
    assert found == []


def test_signatures_are_compared_in_constant_time():
    for name in ["sigv4.py", "sigv2.py", "chunk_signatures.py"]:
        text = (Path(s3server.auth.__path__[0]) / name).read_text()
        assert text.count("hmac.compare_digest(") == 1


def _compares_equal(node):
    return any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)


def _words(side):
    for node in ast.walk(side):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


@pytest.mark.parametrize(
    "weak", ["if claim.signature == given:", "while secret != known:", "if not token == mac:"]
)
def test_comparison_with_equals_is_noticed(weak):
    assert found_in(f"{weak}\n    pass\n") == [1]
    assert found_in("if hmac.compare_digest(expected, given):\n    pass\n") == []
