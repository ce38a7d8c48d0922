# SPDX-License-Identifier: Apache-2.0
"""answer - what a handler gave, as an answer of HTTP (payload format 2.0 of Lambda) or as JSON.

A dict with `statusCode` is an answer as it stands; everything else is a bare value: text and bytes
go out as they are, other values as JSON with 200. Iterators are streamed.
"""
import base64
import json
import re

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
JSON_HEAD = b"200\ncontent-type:application/json\n"
TEXT_HEAD = b"200\ncontent-type:text/plain; charset=utf-8\n"
BYTES_HEAD = b"200\ncontent-type:application/octet-stream\n"

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class InvalidAnswer(Exception):
    pass


def text_of(value):
    return encode(value).encode("utf-8", "surrogatepass")


def is_bytes(value):
    return isinstance(value, (bytes, bytearray, memoryview))


def is_stream(value):
    return hasattr(value, "__next__") or hasattr(value, "__anext__") or (
        hasattr(value, "__aiter__") and not isinstance(value, dict))


def header_line(name, value):
    if not isinstance(name, str) or not TOKEN(name):
        raise InvalidAnswer(f"{name!r} is not the name of a header")
    text = value if isinstance(value, str) else str(value).lower() if value is True or value is False \
        else str(value)
    if CONTROL(text):
        raise InvalidAnswer(f"the value of the header '{name}' has control characters")
    return f"{name}:{text}\n"


def status_of(value):
    try:
        status = int(value)
    except (TypeError, ValueError):
        status = 0
    if not 200 <= status <= 599:
        raise InvalidAnswer(f"statusCode is {value!r}, it must be 200 to 599")
    return status


def body_of(body, is_base64):
    """Gives (bytes or an iterator, default type)."""
    if body is None:
        return b"", None
    if isinstance(body, str):
        if is_base64:
            return base64.b64decode(body), "application/octet-stream"
        return body.encode("utf-8", "surrogatepass"), "text/plain; charset=utf-8"
    if is_bytes(body):
        return bytes(body), "application/octet-stream"
    if is_stream(body):
        return body, "application/octet-stream"
    return text_of(body), "application/json"


def structured(result):
    """Gives (head, body) of a dict with statusCode."""
    lines = [f"{status_of(result['statusCode'])}\n"]
    body, kind = body_of(result.get("body"), result.get("isBase64Encoded") is True)
    for name, value in (result.get("headers") or {}).items():
        if value is None:
            continue
        if len(name) == 12 and name.lower() == "content-type":
            kind = None
        if isinstance(value, (list, tuple)):
            lines += [header_line(name, one) for one in value]
        else:
            lines.append(header_line(name, value))
    lines += [header_line("set-cookie", cookie) for cookie in result.get("cookies") or ()]
    if kind is not None and body != b"":
        lines.append(f"content-type:{kind}\n")
    return "".join(lines).encode("utf-8", "surrogatepass"), body


def http(result):
    """Gives (head, body): bytes, and bytes or something to iterate over."""
    if isinstance(result, dict):
        return structured(result) if "statusCode" in result else (JSON_HEAD, text_of(result))
    if isinstance(result, str):
        return TEXT_HEAD, result.encode("utf-8", "surrogatepass")
    if is_bytes(result):
        return BYTES_HEAD, bytes(result)
    if is_stream(result):
        return BYTES_HEAD, result
    return JSON_HEAD, text_of(result)


def piece(value):
    """One piece of a stream as bytes."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if is_bytes(value):
        return bytes(value)
    raise InvalidAnswer(f"a stream gave {type(value).__name__}, it may give str and bytes")


def direct(result):
    """The JSON of a direct call: bytes are given as base64."""
    if is_bytes(result):
        result = base64.b64encode(result).decode()
    return JSON_HEAD, text_of(result)


def collected(pieces):
    """All of a stream as one JSON text, base64 where it is not UTF-8: JSON cannot be streamed."""
    whole = b"".join(pieces)
    try:
        return direct(whole.decode("utf-8"))
    except UnicodeDecodeError:
        return direct(whole)
