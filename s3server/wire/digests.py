"""All that is computed over the bytes of one body, and how it is held against the promises."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence

from s3server.errors import (
    BadDigest,
    InvalidRequest,
    MalformedTrailerError,
    S3Error,
    SignatureDoesNotMatch,
    XAmzContentSHA256Mismatch,
)
from s3server.model import ChunkVerifier
from s3server.wire.aws_chunked import SIGNATURE_TRAILER, ChunkEnd
from s3server.wire.checksums import ADLER32, ALGORITHMS, RunningAdler32, decoded, mismatch, new_md5
from s3server.wire.promises import Promises

# hashlib lets go of the GIL from 2,048 bytes on. For a body of 4 KB that saves nothing and costs
# a hand-over (40 us with a committer thread waiting), so small bodies are hashed in short pieces.
_KEEPS_GIL = 2_047
SMALL_BYTES = 16_384


class SignedChunks:
    """The hash of the chunk that is coming in, and whether all before it were signed."""

    def __init__(self, verifier: ChunkVerifier) -> None:
        self.failure: S3Error | None = None
        self._verifier = verifier
        self._chunk = hashlib.sha256()

    def absorb(self, data: memoryview, start: int, ends: Sequence[ChunkEnd]) -> None:
        """Go on over `data`; a wrong signature is kept as `failure`, as this may be a thread."""
        begin = 0
        for position, signature in ends:
            end = position - start
            self._chunk.update(data[begin:end])
            try:
                self._verifier.verify_chunk(signature, self._chunk.hexdigest())
            except SignatureDoesNotMatch as error:
                self.failure = self.failure or error
            self._chunk = hashlib.sha256()
            begin = end
        self._chunk.update(data[begin:])

    def verify_trailers(self, trailers: Mapping[str, str], signature: str) -> None:
        """Prove the trailing headers. Raises SignatureDoesNotMatch."""
        lines = "".join([f"{name}:{value}\n" for name, value in sorted(trailers.items())])
        self._verifier.verify_trailer(
            signature, hashlib.sha256(lines.encode("latin-1")).hexdigest()
        )


class Digests:
    """MD5 always; the declared or default checksum; SHA-256 where body or chunks need it."""

    def __init__(
        self, promises: Promises, chunks: ChunkVerifier | None, default_algorithm: str
    ) -> None:
        if promises.is_signed and chunks is None:
            raise SignatureDoesNotMatch("Signed chunks need a signed request.")
        self._promises = promises
        self._md5 = new_md5()
        self._algorithm = promises.algorithm or ALGORITHMS.get(default_algorithm)
        self._checksum = self._algorithm.new() if self._algorithm else None
        self._adler32 = RunningAdler32() if default_algorithm else None  # of objects
        self._promised = [(one, one.new(), digest) for one, digest in promises.digests]
        self._sha256 = hashlib.sha256() if promises.sha256 else None
        self._chunks = SignedChunks(chunks) if chunks is not None and promises.is_signed else None

    @property
    def failure(self) -> S3Error | None:
        """The error of the first chunk that was not signed as it should be."""
        return self._chunks.failure if self._chunks else None

    @property
    def md5_hex(self) -> str:
        """The S3 ETag."""
        return self._md5.digest().hex()

    @property
    def checksums(self) -> tuple[tuple[str, str], ...]:
        """The checksum as the model names it and the Adler-32; nothing where none is computed."""
        if self._algorithm is None or self._checksum is None:
            return ()
        checksum = self._algorithm.member, b64encode(self._checksum.digest()).decode()
        if self._adler32 is None:
            return (checksum,)
        return checksum, (ADLER32, self._adler32.digest().hex())

    def absorb(self, data: memoryview, start: int, ends: Sequence[ChunkEnd]) -> None:
        """Go on over `data`, which lies at `start` in the body; `ends` are of chunks in it.

        May run in a thread, one call at a time. Raises nothing that a client can cause: see
        `failure`.
        """
        step = _KEEPS_GIL if len(data) <= SMALL_BYTES else len(data)
        for at in range(0, len(data), step):
            piece = data[at : at + step]
            self._md5.update(piece)
            if self._sha256 is not None:
                self._sha256.update(piece)
        if self._checksum is not None:
            self._checksum.update(data)
        if self._adler32 is not None:
            self._adler32.update(data)
        for _, running, _ in self._promised:
            running.update(data)
        if self._chunks is not None:
            self._chunks.absorb(data, start, ends)

    def verify(self, trailers: Mapping[str, str]) -> None:
        """Hold everything against the promises.

        Raises SignatureDoesNotMatch, MalformedTrailerError, InvalidRequest, BadDigest or
        XAmzContentSHA256Mismatch.
        """
        if self.failure is not None:
            raise self.failure
        expected = self._promises.checksum
        if self._promises.has_trailers:
            expected = self._trailing_checksum(dict(trailers))
        self._verify_sha256()
        self._verify_md5()
        if expected and self._algorithm is not None and self.checksums[0][1] != expected:
            raise mismatch(self._algorithm)
        for one, running, digest in self._promised:
            if running.digest() != digest:
                raise BadDigest(f"The {one.name} digest you specified did not match.")

    def _trailing_checksum(self, trailers: dict[str, str]) -> str:
        """Return the checksum that came last, once the trailers are as announced and signed."""
        if self._chunks is not None:
            signature = trailers.pop(SIGNATURE_TRAILER, "")
            self._chunks.verify_trailers(trailers, signature)
        name, algorithm = self._promises.trailer, self._promises.algorithm
        if set(trailers) != ({name} if name else set()):
            raise MalformedTrailerError
        if algorithm is None:
            return ""
        if decoded(trailers[name], algorithm.size) is None:
            raise InvalidRequest(f"Value for {name} trailing header is invalid.")
        return trailers[name]

    def _verify_sha256(self) -> None:
        if self._sha256 is not None and self._sha256.hexdigest() != self._promises.sha256:
            raise XAmzContentSHA256Mismatch(
                ClientComputedContentSHA256=self._promises.sha256,
                S3ComputedContentSHA256=self._sha256.hexdigest(),
            )

    def _verify_md5(self) -> None:
        expected = self._promises.md5
        if expected and decoded(expected, 16) != self._md5.digest():
            raise BadDigest(
                "The Content-MD5 you specified did not match what we received.",
                ExpectedDigest=expected,
                CalculatedDigest=b64encode(self._md5.digest()).decode(),
            )


class CopyDigests:
    """What S3 stores of bytes that are copied, with a checksum of one algorithm.

    Implements core's `Digests`.
    """

    def __init__(self, algorithm: str) -> None:
        self._md5 = new_md5()
        self._algorithm = ALGORITHMS[algorithm]
        self._checksum = self._algorithm.new()
        self._adler32 = RunningAdler32()

    def update(self, data: memoryview) -> None:
        """Go on over `data`."""
        self._md5.update(data)
        self._checksum.update(data)
        self._adler32.update(data)

    @property
    def etag(self) -> str:
        """MD5 of the bytes in hexadecimal."""
        return self._md5.digest().hex()

    @property
    def checksums(self) -> tuple[tuple[str, str], ...]:
        """The checksum as the model names it, and the Adler-32."""
        checksum = b64encode(self._checksum.digest()).decode()
        return (self._algorithm.member, checksum), (ADLER32, self._adler32.digest().hex())
