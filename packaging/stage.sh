#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# stage.sh BUILD - puts all that runs side by side into BUILD/bin, as path_libexec() and
# path_share() look for it: programs, runtimes/, openapi.yaml. `make all` calls it after ninja.
set -euo pipefail

cd "$(dirname "$0")/.."
build=$1
bin=$build/bin

mkdir -p "$bin"
find "$build/src" "$build/cli" "$build/runtimes" -type f -name 'mayfly*' -perm -u+x \
	! -path '*.p/*' -exec ln -f -t "$bin" {} +

# Aside and then renamed, so that a running daemon never sees half a folder.
rm -rf "$bin/.runtimes"
mkdir "$bin/.runtimes"
cp -r runtimes/*/ "$bin/.runtimes/"
find "$bin/.runtimes" \( -name tests -o -name __pycache__ -o -name meson.build -o -name '*.[ch]' \) \
	-prune -exec rm -rf {} +
# Compiled once here and not at each start of an instance, whose root is read-only. Checked by the
# digest of the source, so another version of it is never taken for this one.
for python in /usr/bin/python3 /usr/local/bin/python3; do
	[ ! -x "$python" ] || "$python" -m compileall -q --invalidation-mode checked-hash \
		"$bin/.runtimes/python"
done
rm -rf "$bin/runtimes"
mv "$bin/.runtimes" "$bin/runtimes"
install -m 644 src/api/openapi.yaml "$bin/openapi.yaml"
