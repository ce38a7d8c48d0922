#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A process for each call: the body comes on stdin, stdout is the answer, stderr is the log.
name=$(cat)
echo "call $MAYFLY_CALL_ID by $MAYFLY_METHOD" >&2
printf 'Status: 200\r\nContent-Type: text/plain; charset=utf-8\r\nX-Path: %s\r\n\r\n' "$MAYFLY_PATH"
echo "Hello, ${name:-world}!"
