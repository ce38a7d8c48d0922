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

install -D -m 755 "$bin/mayfly" "$root/bin/mayfly"
for program in "$bin"/mayfly-*; do
	install -D -m 755 "$program" "$root/libexec/mayfly/${program##*/}"
done
rm -rf "$root/share/mayfly/runtimes"
mkdir -p "$root/share/mayfly"
cp -r "$bin/runtimes" "$root/share/mayfly/runtimes"
install -m 644 "$bin/openapi.yaml" "$root/share/mayfly/openapi.yaml"

install -D -m 644 include/mayfly.h "$root/include/mayfly.h"
install -D -m 644 "$(find "$build" -name libmayfly.a)" "$root/lib/libmayfly.a"
install -D -m 644 packaging/mayfly.1 "$root/share/man/man1/mayfly.1"
for shell in bash zsh fish; do
	case $shell in
	bash) to=share/bash-completion/completions/mayfly ;;
	zsh) to=share/zsh/site-functions/_mayfly ;;
	fish) to=share/fish/vendor_completions.d/mayfly.fish ;;
	esac
	mkdir -p "$(dirname "$root/$to")"
	"$bin/mayfly" completion "$shell" >"$root/$to"
done
mkdir -p "$root/lib/systemd/system"
sed "s|@PREFIX@|$prefix|g" packaging/mayfly.service >"$root/lib/systemd/system/mayfly.service"
