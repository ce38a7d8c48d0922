# SPDX-License-Identifier: Apache-2.0
"""A PNG of one colour, made from nothing but zlib."""
import base64
import struct
import zlib


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, colour):
    rows = (b"\0" + bytes(colour) * width) * height
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def handler(event, context):
    event = event or {}
    if event.get("body"):  # bytes that were posted come as base64, and go back as they came
        body = event["body"]
        data = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
        return {"statusCode": 200, "headers": {"content-type": "application/octet-stream"}, "body": data}
    return {"statusCode": 200, "headers": {"content-type": "image/png"}, "body": png(64, 64, (0, 140, 90))}
