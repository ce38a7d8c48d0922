#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What scripts do, one thing per call: {"do": name} on stdin gives the name. Without one, all names.
read -r event
name=$(expr "$event" : '.*"do": *"\([a-z_]*\)"')
[ -z "$(ls -A /tmp)" ] || { echo 'something of another call is here' >&2; exit 9; }
case $name in
'') printf '["hello","file_left","child","child_left"]'; exit 0 ;;
hello) ;;
file_left) echo left >/tmp/left; mkdir /tmp/folder && ln -s / /tmp/folder/link ;;
child) [ "$(sh -c 'echo 42')" = 42 ] || exit 8 ;;
child_left) sleep 60 >/dev/null 2>&1 & ;;
*) exit 7 ;;
esac
printf '"%s"' "$name"
