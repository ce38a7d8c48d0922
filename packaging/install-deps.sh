#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# install-deps.sh [--test] [--bench] - installs what building and running mayfly needs (Debian 12),
# with --test what `make test` needs besides, with --bench what `make bench` compares with.
# Installs only what is missing, and says nothing when all is there.
set -euo pipefail

packages=(
	# to build
	gcc libc6-dev make meson ninja-build pkg-config
	libarchive-dev libcurl4-openssl-dev libjansson-dev libnghttp2-dev librabbitmq-dev libseccomp-dev
	libsqlite3-dev libssl-dev libuv1-dev libxml2-dev
	# to run: the builds of Python functions call pip
	ca-certificates curl python3 python3-pip tzdata
)
test_packages=(
	amqp-tools busybox-static clang clang-format cpio libclang-rt-14-dev libcmocka-dev nghttp2-client node-llhttp
	procps python3-paho-mqtt python3-pika python3-pytest python3-pytest-timeout python3-setuptools
	python3-wheel python3-yaml qemu-system-x86 rabbitmq-server sqlite3 strace unzip zip
)
bench_packages=(bubblewrap crun gunicorn nginx-light python3-uvicorn wrk)

for argument in "$@"; do
	case $argument in
	--test) packages+=("${test_packages[@]}") ;;
	--bench) packages+=("${bench_packages[@]}") ;;
	*)
		echo "usage: install-deps.sh [--test] [--bench]" >&2
		exit 2
		;;
	esac
done

# A Node.js that did not come from a package is as good as Debian's.
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p')
missing=()
for package in "${packages[@]}"; do
	grep -qxF "$package" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "These packages are missing; as root: apt-get install ${missing[*]}" >&2
	exit 1
fi

echo "installing ${missing[*]}"
log=$(mktemp)
policy=
trap 'rm -f "$log" $policy' EXIT
# Servers that come with a package (a broker, for the tests) are not started by installing them.
if [ ! -e /usr/sbin/policy-rc.d ]; then
	policy=/usr/sbin/policy-rc.d
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } \
	>"$log" 2>&1 </dev/null; then
	cat "$log" >&2
	exit 1
fi
