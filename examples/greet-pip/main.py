# SPDX-License-Identifier: Apache-2.0
import idna


def handler(event, context):
    query = (event or {}).get("queryStringParameters") or {}
    name = query.get("host", "bücher.example")
    return {"name": name, "on_the_wire": idna.encode(name).decode("ascii")}
