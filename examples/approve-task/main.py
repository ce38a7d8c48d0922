# SPDX-License-Identifier: Apache-2.0
import os

APPROVED = os.environ['APPROVED'].split()


def handler(event, context):
    """Decides a blocking task of vCloud Director's by who has begun it."""
    user, entity = event['data']['user'], event['data'].get('taskOwner', 'something')
    print(f'{event["subject"]}: {user} wants {entity}')
    if user in APPROVED:
        return {'task': 'resume', 'message': 'approved'}
    return {'task': 'abort', 'message': f'{user} may not do this; ask your administrator'}
