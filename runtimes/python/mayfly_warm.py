# SPDX-License-Identifier: Apache-2.0
"""warm - a function for template.py to load, as a function of a tenant is loaded."""


def handler(event, context):
    return event
