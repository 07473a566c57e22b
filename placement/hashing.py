"""The hash behind every placement decision; its output is frozen, stored data depends on it.

Robert Jenkins' 32-bit mixing function ("Hash functions", Dr. Dobb's Journal, September 1997;
https://burtleburtle.net/bob/hash/evahash.html), applied to two or three integers as CRUSH does
under the name rjenkins1 (Weil et al., "CRUSH: Controlled, Scalable, Decentralized Placement
of Replicated Data", SC 2006). Inputs are taken modulo 2**32, so negative bucket ids are fine.
"""

from __future__ import annotations

_MASK = 0xFFFFFFFF
_SEED = 1315423911
_X = 231232
_Y = 1232


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = (a - b - c & _MASK) ^ c >> 13
    b = (b - c - a ^ a << 8) & _MASK
    c = (c - a - b & _MASK) ^ b >> 13
    a = (a - b - c & _MASK) ^ c >> 12
    b = (b - c - a ^ a << 16) & _MASK
    c = (c - a - b & _MASK) ^ b >> 5
    a = (a - b - c & _MASK) ^ c >> 3
    b = (b - c - a ^ a << 10) & _MASK
    c = (c - a - b & _MASK) ^ b >> 15
    return a, b, c


def hash2(a: int, b: int) -> int:
    """Return the 32-bit hash of two integers, in order."""
    a &= _MASK
    b &= _MASK
    a, b, value = _mix(a, b, _SEED ^ a ^ b)
    _, a, value = _mix(_X, a, value)
    _, _, value = _mix(b, _Y, value)
    return value


def hash3(a: int, b: int, c: int) -> int:
    """Return the 32-bit hash of three integers, in order."""
    a &= _MASK
    b &= _MASK
    c &= _MASK
    a, b, value = _mix(a, b, _SEED ^ a ^ b ^ c)
    c, x, value = _mix(c, _X, value)
    y, a, value = _mix(_Y, a, value)
    b, x, value = _mix(b, x, value)
    _, _, value = _mix(y, c, value)
    return value
