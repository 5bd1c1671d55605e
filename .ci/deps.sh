#!/bin/sh
# Installs the Debian packages that the tests use: a real Postfix, Dovecot's LDA,
# miltertest, libmilter for the null filter of the benchmark, a C compiler, opendkim,
# Redis, Prometheus' promtool, Python and the small clients. It needs root and changes
# nothing when all is there. A Postfix, a Dovecot, an opendkim, a Redis or a Prometheus
# that it installs is not configured and never started; one that was there before is
# left alone.
#
# A real Sendmail, too: as its package cannot be installed beside Postfix, it is
# only unpacked, into a folder of its own (internal/sendmailtest), and the
# libraries that it wants are installed.
#
# And a small Debian in a folder, into copies of which the test of packaging/ installs
# the Debian package.
#
#   .ci/deps.sh          installs what is missing
#   .ci/deps.sh --check  prints what is missing; exit status 1 if anything is
set -eu

packages="postfix dovecot-core miltertest opendkim redis-server prometheus m4 swaks libmilter-dev gcc libc6-dev make curl ca-certificates git systemd iproute2 mmdebstrap groff-base mandoc"
sendmail_root=${PMILTER_SENDMAIL_ROOT:-/var/cache/pmilter-sendmail}
debroot=${PMILTER_DEBROOT:-/var/cache/pmilter-debroot}
sendmail_binary=$sendmail_root/usr/libexec/sendmail/sendmail

command -v npm >/dev/null || packages="$packages npm"
command -v python3 >/dev/null || packages="$packages python3"
command -v ps >/dev/null || packages="$packages procps"

installed() { # PACKAGE
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

has_sendmail() {
	[ -x "$sendmail_binary" ] && [ -d "$sendmail_root/usr/share/sendmail/cf" ] &&
		! ldd "$sendmail_binary" | grep -q 'not found'
}

has_debroot() {
	[ -x "$debroot/usr/bin/kill" ] && [ -x "$debroot/usr/bin/systemd-sysusers" ]
}

command -v dpkg-query >/dev/null || {
	echo "deps: not a Debian system; wanted are: $packages" >&2
	exit 1
}
missing=
for package in $packages; do
	installed "$package" || missing="$missing $package"
done
sendmail=
has_sendmail || sendmail=" Sendmail in $sendmail_root (as root: $0)"
root=
has_debroot || root=" a Debian in $debroot (as root: $0)"
[ -n "$missing$sendmail$root" ] || exit 0
if [ "${1:-}" = --check ]; then
	[ -z "$missing" ] || echo "missing:$missing (sudo apt-get install$missing)"
	[ -z "$sendmail" ] || echo "missing:$sendmail"
	[ -z "$root" ] || echo "missing:$root"
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "deps: missing:$missing$sendmail$root; run this as root" >&2
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive
work=
policy=
tidy() {
	[ -z "$policy" ] || rm -f "$policy"
	[ -z "$work" ] || rm -rf "$work"
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM # or dash would not tidy: policy-rc.d would stay, and no service be started any more
case "$missing " in
*" postfix "*)
	# An unconfigured Postfix cannot start, not even at the next boot.
	command -v debconf-set-selections >/dev/null &&
		echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
	;;
esac
# Debian starts a service as it installs it, unless this file says no.
if [ ! -e /usr/sbin/policy-rc.d ]; then
	policy=/usr/sbin/policy-rc.d
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

get() { # PACKAGE...
	[ $# -gt 0 ] || return 0
	apt-get install -y --no-install-recommends "$@" || {
		apt-get update
		apt-get install -y --no-install-recommends "$@"
	}
}

download() ( # FOLDER PACKAGE...
	cd "$1"
	shift
	apt-get download -o APT::Sandbox::User=root "$@"
)

# unpack_sendmail makes the folder anew: nothing in it runs with another's rights.
unpack_sendmail() {
	work=$(mktemp -d)
	download "$work" sendmail-bin sendmail-base sendmail-cf || {
		apt-get update
		download "$work" sendmail-bin sendmail-base sendmail-cf
	}
	# shellcheck disable=SC2046 # a list
	get $(dpkg-deb -f "$work"/sendmail-bin_*.deb Depends | tr ',' '\n' | sed -n 's/^ *\(lib[^ |]*\).*/\1/p')
	mkdir "$work/root"
	for package in "$work"/*.deb; do
		dpkg -x "$package" "$work/root"
	done
	chmod -R u-s,g-s "$work/root"
	chmod 755 "$work/root"
	rm -rf "$sendmail_root"
	mkdir -p "$(dirname "$sendmail_root")"
	mv "$work/root" "$sendmail_root"
	has_sendmail || {
		echo "deps: $sendmail_binary lacks libraries:" >&2
		ldd "$sendmail_binary" | grep 'not found' >&2
		exit 1
	}
}

# make_debroot makes the small Debian, of this machine's release, anew.
make_debroot() (
	# shellcheck disable=SC1091 # Debian's
	. /etc/os-release
	rm -rf "$debroot" "$debroot.new"
	mmdebstrap --quiet --mode=root --variant=minbase --include=procps,systemd-standalone-sysusers,systemd-standalone-tmpfiles \
		"$VERSION_CODENAME" "$debroot.new"
	mv "$debroot.new" "$debroot"
)

# shellcheck disable=SC2086 # a list
get $missing
# Nor at the next boot.
for service in opendkim redis-server prometheus dovecot; do
	case "$missing " in
	*" $service "* | *" $service-core "*)
		if command -v systemctl >/dev/null; then systemctl disable "$service" >/dev/null 2>&1 || true; fi
		;;
	esac
done
[ -z "$sendmail" ] || unpack_sendmail
[ -z "$root" ] || make_debroot
