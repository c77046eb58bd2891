#!/bin/sh
# Installs the servers that the demo and the tests need from Debian: PostgreSQL and Prosody; for the tests also an ejabberd, clients and a contract tester
# that others wrote, and a browser; for the benchmarks the ejabberd to compare with and a source of HTTP load. The tester, schemathesis, what looks at pages
# for people who do not see them well, axe-core, and some of the clients are not in Debian: pip, npm and Maven put them into directories of their own in the
# user's cache, once for each version.
#
# No public server is started by that: Debian's packages start theirs when they are installed, and make a cluster on port
# 5432, unless they are told otherwise first. What tells them is removed again at the end. When nothing is missing this
# script changes nothing and takes no time.
#
# Usage: deploy/setup.sh [--check] [--tests] [--bench]     --check only says what is missing, status 1 if anything is
set -eu

say() { printf 'setup: %s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }

# have_postgres: a server is installed, with its initdb; a client alone (psql) is not enough.
have_postgres() {
	for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin; do
		[ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && return 0
	done
	have initdb && have postgres
}

check= tests= bench=
for arg; do
	case $arg in
	--check) check=1 ;;
	--tests) tests=1 ;;
	--bench) bench=1 ;;
	*) say "unknown argument $arg; --check, --tests and --bench are known" >&2; exit 2 ;;
	esac
done

missing=
need() { missing="$missing $1"; }
have_postgres || need postgresql
have prosody || need prosody
have lua5.4 || have lua5.3 || have lua5.2 || have lua5.1 || have lua || need lua5.4
have cc || have gcc || have clang || need gcc # the race detector is linked by it
[ -z "$bench$tests" ] || have ejabberdctl || [ -x /usr/sbin/ejabberdctl ] || need ejabberd
[ -z "$bench" ] || have wrk || need wrk
tester= axe= npmclients= javaclients=
cache=${XDG_CACHE_HOME:-$HOME/.cache}/bindgate
if [ -n "$tests" ]; then
	python=/usr/bin/python3
	$python -c 'import slixmpp' 2>/dev/null || need python3-slixmpp
	$python -c 'import aioxmpp' 2>/dev/null || need python3-aioxmpp
	clients=$(dirname "$0")/../internal/clients # its install.go looks for these directories
	npmclients=$cache/npm-$(sha256sum "$clients/npm/package-lock.json" | cut -c1-12)
	[ ! -d "$npmclients" ] || npmclients=
	[ -z "$npmclients" ] || have npm || need npm
	javaclients=$cache/maven-$(sha256sum "$clients/smack/pom.xml" | cut -c1-12)
	[ ! -d "$javaclients" ] || javaclients=
	[ -z "$javaclients" ] || have mvn || need maven
	have javac || need default-jdk-headless
	requirements=$(dirname "$0")/../internal/e2e/testdata/schemathesis/requirements.txt
	tester=$cache/$(sed 's/==/-/' "$requirements")
	[ ! -x "$tester/bin/schemathesis" ] || tester=
	[ -z "$tester" ] || $python -c 'import ensurepip' 2>/dev/null || need python3-venv
	have chromium || have chromium-browser || have google-chrome || have google-chrome-stable || need chromium
	{ have fc-list && [ -n "$(fc-list :lang=ja family)" ] && [ -n "$(fc-list :lang=zh-cn family)" ]; } || need fonts-noto-cjk
	package=$(dirname "$0")/../internal/browser/axe
	axe=$cache/axe-core-$(sed -n 's/.*"axe-core": "\(.*\)".*/\1/p' "$package/package.json")
	[ ! -s "$axe/node_modules/axe-core/axe.min.js" ] || axe=
	[ -z "$axe" ] || have npm || need npm
fi
ejabberd=/var/tmp/bindgate-ejabberd-24.12 prosody=/var/tmp/bindgate-prosody-13.0 # internal/ejabberd and internal/prosody look for them there
[ -n "$tests" ] && [ ! -d "$ejabberd" ] || ejabberd=
[ -n "$tests" ] && [ ! -d "$prosody" ] || prosody=
missing=${missing# }
if [ -n "$missing" ]; then
	case " $missing " in *" gcc "*) missing="$missing libc6-dev" ;; esac
fi

if ! have go; then
	say "Go is missing: install Go 1.26 or newer from https://go.dev/dl/" >&2
	exit 1
fi

# install_tester: without it the contract's test is skipped, which is no reason not to run the others, but on a machine that has CI set.
install_tester() {
	[ -n "$tester" ] || return 0
	say "installing schemathesis into $tester"
	if $python -m venv --clear "$tester" && "$tester/bin/pip" install -q --disable-pip-version-check -r "$requirements"; then
		return 0
	fi
	rm -rf "$tester"
	say "failed: pip install -r $requirements" >&2
	[ -z "${CI:-}" ] || exit 1
}

# unpack_backports: servers of Debian's backports, unpacked beside the installed ones, to test on newer versions. It needs no root, and nothing of the system's is
# touched: apt gets its lists and files in a directory of its own. Without them the tests on them are skipped, but on a machine that has CI set.
unpack_backports() {
	[ -n "$ejabberd$prosody" ] || return 0
	say "unpacking servers of Debian 12's backports into $ejabberd $prosody"
	set +e # in a condition the next one would be ignored
	(
		set -e
		work=$(mktemp -d)
		trap 'rm -rf "$work"' EXIT
		keys=/usr/share/keyrings/debian-archive-keyring.gpg
		mirror=$(apt-get indextargets --format '$(SITE)' 'Release: bookworm' 'Created-By: Packages' 'Component: main' | head -1)
		[ -n "$mirror" ]
		echo "deb [signed-by=$keys] $mirror bookworm-backports main" >"$work/sources.list"
		mkdir -p "$work/lists/partial" "$work/cache"
		ours="-qq -o Dir::Etc::sourcelist=$work/sources.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$work/lists -o Dir::Cache=$work/cache -o Debug::NoLocking=1 -o APT::Sandbox::User=$(id -un)"
		# shellcheck disable=SC2086 # a list of words
		apt-get $ours update
		# unpack directory package…
		unpack() {
			target=$1
			shift
			mkdir -p "$work/debs" "$work/root"
			# shellcheck disable=SC2046,SC2086
			(cd "$work/debs" && apt-get $ours download $(printf '%s/bookworm-backports ' "$@"))
			for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
			rm -r "$work/debs"
			if [ -f "$work/root/usr/bin/prosody" ]; then # it has its directories written in it
				sed -i -E "s,^CFG_(SOURCE|PLUGIN)DIR=',&$target," "$work/root/usr/bin/prosody"
			fi
			chmod 755 "$work/root"
			mv "$work/root" "$target"
		}
		# shellcheck disable=SC2046,SC2086
		[ -z "$ejabberd" ] || unpack "$ejabberd" ejabberd $(apt-cache $ours show ejabberd/bookworm-backports | sed -n 's/^Depends: //p' | tr ',' '\n' | sed -nE 's/^ *(erlang-(p1-[a-z]+(-[a-z]+)*|jose)) .*/\1/p')
		[ -z "$prosody" ] || unpack "$prosody" prosody prosody-modules
	)
	status=$?
	set -e
	[ $status != 0 ] || return 0
	say "failed: servers of the backports" >&2
	[ -z "${CI:-}" ] || exit 1
}

# install_axe: the same goes for the pages' test.
install_axe() {
	[ -n "$axe" ] || return 0
	say "installing axe-core into $axe"
	mkdir -p "$axe"
	cp "$package/package.json" "$package/package-lock.json" "$axe"
	if npm ci --prefix "$axe" --ignore-scripts --no-audit --no-fund --loglevel=error; then
		return 0
	fi
	rm -rf "$axe"
	say "failed: npm ci, for axe-core" >&2
	[ -z "${CI:-}" ] || exit 1
}

# install_clients: the same goes for the clients' tests.
install_clients() {
	if [ -n "$npmclients" ]; then
		say "installing xmpp.js and Strophe.js into $npmclients"
		mkdir -p "$npmclients.new"
		cp "$clients/npm/package.json" "$clients/npm/package-lock.json" "$npmclients.new"
		if npm ci --prefix "$npmclients.new" --ignore-scripts --no-audit --no-fund --loglevel=error; then
			mv "$npmclients.new" "$npmclients"
		else
			rm -rf "$npmclients.new"
			say "failed: npm ci, for the clients" >&2
			[ -z "${CI:-}" ] || exit 1
		fi
	fi
	if [ -n "$javaclients" ]; then
		say "installing Smack into $javaclients"
		if mvn -q -B -C -Dstyle.color=never -f "$clients/smack/pom.xml" dependency:copy-dependencies -DoutputDirectory="$javaclients.new"; then
			mv "$javaclients.new" "$javaclients"
		else
			rm -rf "$javaclients.new"
			say "failed: mvn, for Smack" >&2
			[ -z "${CI:-}" ] || exit 1
		fi
	fi
}

if [ -n "$check" ]; then
	[ -z "$tester" ] || missing="$missing${missing:+ }schemathesis"
	[ -z "$ejabberd" ] || missing="$missing${missing:+ }ejabberd-24.12"
	[ -z "$prosody" ] || missing="$missing${missing:+ }prosody-13.0"
	[ -z "$axe" ] || missing="$missing${missing:+ }axe-core"
	[ -z "$npmclients" ] || missing="$missing${missing:+ }xmpp.js strophe.js"
	[ -z "$javaclients" ] || missing="$missing${missing:+ }smack"
	if [ -n "$missing" ]; then
		say "missing: $missing"
		exit 1
	fi
	say "nothing is missing"
	exit 0
fi
if [ -z "$missing" ]; then
	install_tester
	unpack_backports
	install_axe
	install_clients
	exit 0
fi
if ! have apt-get; then
	say "missing: $missing. This script installs them on Debian and its relatives only: install them with your system's packages, then run the command again." >&2
	exit 1
fi

root=
if [ "$(id -u)" != 0 ]; then
	if ! have sudo; then
		say "missing: $missing. Run as root: apt-get install $missing" >&2
		exit 1
	fi
	root=sudo
fi

say "installing from Debian: $missing"
say "their public servers are not started"

policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.d/bindgate-setup.conf
made_policy= made_cluster=
cleanup() {
	[ -z "$made_policy" ] || $root rm -f "$policy"
	[ -z "$made_cluster" ] || $root rm -f "$cluster"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

if [ ! -e "$policy" ]; then
	made_policy=1
	printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null # 101: "action forbidden by policy"
	$root chmod 755 "$policy"
fi
case " $missing " in
*" postgresql "*)
	$root mkdir -p "$(dirname "$cluster")"
	made_cluster=1
	printf 'create_main_cluster = false\n' | $root tee "$cluster" >/dev/null
	;;
esac

log=$(mktemp)
quiet() {
	if ! "$@" >"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		say "failed: $*" >&2
		exit 1
	fi
}
export DEBIAN_FRONTEND=noninteractive
quiet $root apt-get update -q
# shellcheck disable=SC2086 # a list of words
quiet $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
rm -f "$log"

# A server that was enabled for the next boot would start then.
if have systemctl && [ -d /run/systemd/system ]; then
	for unit in prosody postgresql ejabberd; do
		case " $missing " in *" $unit "*) $root systemctl disable --quiet "$unit" 2>/dev/null || true ;; esac
	done
fi
install_tester
unpack_backports
install_axe
install_clients
say "done"
