# SPDX-License-Identifier: Apache-2.0
import platform


def handler(event, context):
    event = event or {}
    query = event.get("queryStringParameters") or event
    name = query.get("name", "world")
    print(f"greeting {name} in call {context.aws_request_id}")
    return {"message": f"Hello, {name}!", "from": f"Python {platform.python_version()}"}
