# SPDX-License-Identifier: Apache-2.0
"""call - one call: its event, its context, and its answer."""
import base64
import json
import os
import re
import struct
import time

import mayfly_answer as answers
import mayfly_channel as channel_of
import mayfly_random as random
import mayfly_words as words

HTTP = 1
START = struct.Struct("<32s26sB5xQI4x")
START_SIZE = START.size
IS_TEXT = re.compile(
    r"text/|application/(?:json|xml|javascript|x-www-form-urlencoded|x-ndjson|graphql|yaml|toml|sql)"
    r"\s*(?:;|$)|[^;]*\+(?:json|xml)\s*(?:;|$)", re.IGNORECASE).match

_unpack = START.unpack_from
_parse = json.JSONDecoder().decode


class Context:
    """What Lambda calls `context`."""

    identity = None
    client_context = None

    def __init__(self, call_id, deadline):
        self.aws_request_id = call_id
        self._deadline = deadline

    @property
    def log_stream_name(self):
        return self.aws_request_id

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))


def setup():
    """What INIT says about the function."""
    get = os.environ.get
    org, name, version = get("MAYFLY_ORG", ""), get("MAYFLY_FUNCTION", ""), get("MAYFLY_VERSION", "1")
    Context.function_name = name
    Context.function_version = version
    Context.memory_limit_in_mb = get("MAYFLY_MEMORY_MIB", "")
    Context.invoked_function_arn = f"arn:mayfly:function:{org}:{name}:{version}"
    Context.log_group_name = f"/mayfly/{org}/{name}"


def http_event(head, body):
    event = _parse(head)
    if not body:
        event["isBase64Encoded"] = False
        return event
    headers = event.get("headers")
    kind = headers.get("content-type") if headers else None
    if kind is None or IS_TEXT(kind):
        try:
            event["body"] = str(body, "utf-8")
            event["isBase64Encoded"] = False
            return event
        except UnicodeDecodeError:
            pass
    event["body"] = base64.b64encode(body).decode()
    event["isBase64Encoded"] = True
    return event


class Call:
    __slots__ = ("channel", "number", "is_http", "is_cancelled")

    def __init__(self, channel, number):
        self.channel = channel
        self.number = number
        self.is_http = False
        self.is_cancelled = False

    def begin(self, view):
        """Gives (event, context) of the payload of a CALL frame."""
        fresh, call_id, trigger, deadline, head_size = _unpack(view)
        middle = START_SIZE + head_size
        self.is_http = trigger == HTTP
        random.renew(fresh)
        if self.is_http:
            event = http_event(str(view[START_SIZE:middle], "utf-8"), view[middle:])
        else:
            event = _parse(str(view[middle:], "utf-8")) if len(view) > middle else None
        return event, Context(call_id.decode("ascii"), deadline)


def give_error(call, error):
    call.channel.send(channel_of.ERROR, call.number, words.payload(
        words.type_of(error), words.message_of(error), words.trace_of(error)))


def settle(call, result):
    """Answers with what a plain handler gave."""
    channel, number = call.channel, call.number
    try:
        if not call.is_http:
            channel.answer(number, *(answers.collected(map(answers.piece, result))
                                     if answers.is_stream(result) else answers.direct(result)))
            return
        head, body = answers.http(result)
        if isinstance(body, bytes):
            channel.answer(number, head, body)
            return
        if hasattr(body, "__aiter__"):
            raise answers.InvalidAnswer("an async iterator is streamed by an `async def` handler only")
        channel.send(channel_of.ANSWER_HEAD, number, head)
        for value in body:
            if call.is_cancelled:
                break
            data = answers.piece(value)
            if data:
                channel.send(channel_of.ANSWER_BODY, number, data)
                channel.flush()
        channel.send(channel_of.ANSWER_END, number, b"")
    except Exception as error:  # noqa: BLE001
        give_error(call, error)
