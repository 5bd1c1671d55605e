#!/bin/sh
# Installs the Debian packages that the tests use: a real Postfix, miltertest,
# libmilter for the null filter of the benchmark, a C compiler, and the small
# clients. It needs root and changes nothing when all is there. A Postfix that
# it installs is not configured and never started; one that was there before
# is left alone.
#
#   .ci/deps.sh          installs what is missing
#   .ci/deps.sh --check  prints what is missing; exit status 1 if anything is
set -eu

packages="postfix miltertest swaks libmilter-dev gcc libc6-dev make curl ca-certificates git"

installed() { # PACKAGE
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

command -v dpkg-query >/dev/null || {
	echo "deps: not a Debian system; wanted are: $packages" >&2
	exit 1
}
missing=
for package in $packages; do
	installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "${1:-}" = --check ]; then
	echo "missing:$missing (sudo apt-get install$missing)"
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "deps: missing:$missing; run this as root, or: sudo apt-get install$missing" >&2
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive
case "$missing " in
*" postfix "*)
	# An unconfigured Postfix cannot start, not even at the next boot.
	command -v debconf-set-selections >/dev/null &&
		echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
	;;
esac
# Debian starts a service as it installs it, unless this file says no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
# shellcheck disable=SC2086 # a list
apt-get install -y --no-install-recommends $missing || {
	apt-get update
	apt-get install -y --no-install-recommends $missing
}
