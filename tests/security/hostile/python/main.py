# SPDX-License-Identifier: Apache-2.0
"""A function in Python that leaves something behind, and one that looks for it.

    {"do": "leave", "what": name}   leaves a trace; gives "denied" if the platform does not allow it
    {"do": "look", "what": name}    gives what the trace changes, as JSON: the same value as in a
                                    fresh instance, unless a call before this one has left it
    {"do": "names"}                 gives the names of all

Each trace is a class with leave() and look(). With isolation `instance` look() must find it, which
is what proves that the trace is one.
"""
import errno
import os

import traces_descriptors  # noqa: F401
import traces_files  # noqa: F401
import traces_language  # noqa: F401
import traces_memory  # noqa: F401
import traces_process  # noqa: F401
import traces_tasks  # noqa: F401
from harm import HARM, fresh, looked_at_others
from tools import TRACES


# EINVAL is what a kernel says that does not know a thing, and a sandbox that does not want it known.
REFUSED = (errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def leave(what):
    try:
        what.leave()
    except OSError as error:
        if error.errno in REFUSED:
            return 'denied'
        raise
    return 'left'


def handler(event, context):
    do = event['do']
    if do == 'leave':
        return leave(TRACES[event['what']])
    if do == 'look':
        return TRACES[event['what']].look()
    if do == 'harm':
        HARM[event['what']]()
        return 'done'
    if do == 'names':
        return {'traces': list(TRACES), 'harm': list(HARM)}
    if do == 'others':
        return looked_at_others()
    if do == 'fresh':
        return fresh()
    os._exit(1)
