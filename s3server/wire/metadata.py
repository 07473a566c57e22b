"""User metadata: x-amz-meta-* headers to names and values, and back.

Values are Unicode inside. A header's bytes are read as UTF-8, else as latin-1; RFC 2047 encoded
words, which AWS's SDKs send for other than ASCII, are decoded. They are returned as UTF-8 bytes,
so that ASCII and what raw clients sent come back as sent; only a value that a header cannot carry
(control characters, outer blanks, something that looks like an encoded word) is returned as
RFC 2047 encoded words. boto3 itself refuses metadata other than ASCII.
"""

from __future__ import annotations

import base64
import quopri
import re

PREFIX = "x-amz-meta-"
MAX_BYTES = 2_048  # of names and values together, in UTF-8 (AWS, "Working with object metadata")

# Not every codec of Python: "idna" takes quadratic time, "unicode_escape" warns.
_ENCODED_WORD = re.compile(
    r"=\?(utf-8|us-ascii|iso-8859-\d\d?|windows-125\d|shift_jis|euc-jp|euc-kr|gb18030|big5|koi8-r)"
    r"\?([bq])\?([^? ]*)\?=",
    re.IGNORECASE | re.ASCII,
).fullmatch
_WORD_BYTES = 45  # 60 characters of base64: an encoded word has at most 75


def unicode_value(text: str) -> str:
    """Return what a header's bytes mean; `text` is their latin-1 decoding.

    Text that no bytes stand for comes from a signed URL, decoded already: it means itself.
    """
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def read_value(text: str) -> str:
    """Return a metadata value from its header's latin-1 decoding."""
    value = unicode_value(text)
    return _decode_words(value) if "=?" in value else value


def write_value(value: str) -> str:
    """Return what goes into the header, to be encoded as UTF-8."""
    is_plain = value.isprintable() and value == value.strip() and "=?" not in value
    return value if is_plain else _encode_words(value)


def _decode_words(value: str) -> str:
    """Decode a value made of encoded words only (RFC 2047, 6.2: blanks between them vanish)."""
    pieces = []
    for word in value.split():
        match = _ENCODED_WORD(word)
        if match is None:
            return value
        charset, encoding, text = match.groups()
        try:
            pieces.append(_decode_word(encoding, text).decode(charset))
        except (LookupError, ValueError):  # binascii.Error and UnicodeError are ValueErrors
            return value
    return "".join(pieces)


def _decode_word(encoding: str, text: str) -> bytes:
    if encoding in "bB":
        return base64.b64decode(text, validate=True)
    return quopri.decodestring(text.encode(), header=True)


def _encode_words(value: str) -> str:
    words, piece = [], b""
    for character in value:
        encoded = character.encode()
        if len(piece) + len(encoded) > _WORD_BYTES:
            words.append(piece)
            piece = b""
        piece += encoded
    words.append(piece)
    return " ".join(f"=?UTF-8?B?{base64.b64encode(word).decode()}?=" for word in words)
