# SPDX-License-Identifier: Apache-2.0
import datetime


def handler(event, context):
    """Called by its schedule; what it prints is in `mayfly logs nightly-report`."""
    planned = datetime.datetime.fromisoformat(event["planned"].replace("Z", "+00:00"))
    day = planned.date() - datetime.timedelta(days=1)
    print(f"report of {day}, {(event['payload'] or {}).get('kind', 'short')}")
    return {"schedule": event["schedule"], "day": day.isoformat()}
