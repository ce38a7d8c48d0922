#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# install.sh BUILD PREFIX [DESTDIR] - installs a staged build, in the layout that path_libexec()
# and path_share() look for: PREFIX/bin/mayfly, PREFIX/libexec/mayfly/, PREFIX/share/mayfly/.
set -euo pipefail

cd "$(dirname "$0")/.."
build=$1
prefix=$2
root=${3:-}$prefix
bin=$build/bin

put() { # mode, file, place below the prefix
	install -D -m "$1" "$2" "$root/$3"
}

put 755 "$bin/mayfly" bin/mayfly
for program in "$bin"/mayfly-* "$bin"/mayfly_*; do
	put 755 "$program" "libexec/mayfly/${program##*/}"
done
put 644 "$bin/openapi.yaml" share/mayfly/openapi.yaml
rm -rf "$root/share/mayfly/runtimes"
cp -r "$bin/runtimes" "$root/share/mayfly/runtimes"

put 644 include/mayfly.h include/mayfly.h
put 644 "$(find "$build" -name libmayfly.a)" lib/libmayfly.a
put 644 packaging/mayfly.1 share/man/man1/mayfly.1
put 644 packaging/mayfly.sysusers lib/sysusers.d/mayfly.conf

generated=$(mktemp)
trap 'rm -f "$generated"' EXIT
sed "s|@PREFIX@|$prefix|g" packaging/mayfly.service >"$generated"
put 644 "$generated" lib/systemd/system/mayfly.service
complete() { # shell, place below the prefix
	"$bin/mayfly" completion "$1" >"$generated"
	put 644 "$generated" "$2"
}
complete bash share/bash-completion/completions/mayfly
complete zsh share/zsh/site-functions/_mayfly
complete fish share/fish/vendor_completions.d/mayfly.fish

# With a DESTDIR this is a package in the making: its user is made where it is installed.
if [ -z "${3:-}" ] && [ "$(id -u)" -eq 0 ] && ! getent passwd mayfly >/dev/null; then
	useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin mayfly
fi
