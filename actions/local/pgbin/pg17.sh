#!/bin/sh
# pg17.sh FOLDER: install real PostgreSQL 17 into FOLDER on a Debian that only ships an older one, and print
# the folder with its programs. Nothing of the system is changed and no root is needed.
#
# The packages of Debian 13 need that release's C library, so that library is unpacked beside them and every
# program is told (patchelf) to use this loader and these libraries. The loader's path is written into the
# programs, so FOLDER can't be moved afterwards. LLVM is left out: set jit=off.
#
# Packages come from the same mirror as the system's own, verified by the same keyring.
set -eu

folder=${1:?usage: pg17.sh FOLDER}
mkdir -p "$(dirname "$folder")"
folder=$(cd "$(dirname "$folder")" && pwd)/$(basename "$folder")
major=17
release=trixie
libraries=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")
bin=$folder/usr/lib/postgresql/$major/bin

fail() { echo "pg17.sh: $*" >&2; exit 1; }

works() { [ -x "$bin/pg_waldump" ] && "$bin/postgres" --version 2>/dev/null | grep -q " $major\."; }

if works; then
	echo "$bin"
	exit 0
fi
for program in apt-get apt-cache dpkg-deb flock; do
	command -v $program >/dev/null || fail "needs $program: run it on Debian"
done

exec 9>"$folder.lock"
flock 9
if works; then # somebody else was faster
	echo "$bin"
	exit 0
fi

work=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$work"
new=$work/new
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/debs" "$new"
: >"$work/status"

# The system's own line for its main archive, with another release in it.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
source=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
	awk -v r="$codename" '$1 == r { print $2; exit }')
[ -n "$source" ] || fail "no package source for the release '$codename' is configured on this system"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || fail "$keyring is missing: apt-get install debian-archive-keyring"
echo "deb [signed-by=$keyring] $source $release main" >"$work/sources.list"

# An empty status file: dependencies are resolved as if nothing were installed, so that everything that
# PostgreSQL needs comes from one release. Sandbox user root: apt must not drop to a user who can't read $work.
options="-qq -o Dir::State=$work/state -o Dir::State::status=$work/status -o Dir::Cache=$work/cache
	-o Dir::Etc::sourcelist=$work/sources.list -o Dir::Etc::sourceparts=/dev/null
	-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
	-o APT::Sandbox::User=root -o Debug::NoLocking=true -o Acquire::Retries=3"
apt-get $options update >&2 || fail "reading the package lists of $release failed"

# Of the dependencies only libraries are wanted: no perl, no maintainer tools, no LLVM.
packages=$(apt-cache $options depends --recurse --important postgresql-$major libc6 |
	sed -n 's/^\([a-z0-9][a-z0-9.+:-]*\)$/\1/p' | grep -E '^(lib|postgresql-(client-)?17$)' |
	grep -vE '^lib(llvm|perl|.*-perl$|.*:)' | sort -u)
(cd "$work/debs" && apt-get $options download $packages >&2) || fail "downloading the packages failed"
for package in "$work"/debs/*.deb; do
	dpkg-deb -x "$package" "$new"
done

loader=$(cd "$new" && find usr/lib -name 'ld-linux*.so.*' -o -name 'ld64.so.*' | head -n 1)
[ -n "$loader" ] || fail "the C library package holds no loader"

# The release's own patchelf, run by the release's own loader: it needs the newer C library as well.
mkdir -p "$work/tool"
(cd "$work/tool" && apt-get $options download patchelf >&2) || fail "downloading patchelf failed"
dpkg-deb -x "$work"/tool/patchelf_*.deb "$work/tool"
patch() { "$new/$loader" --library-path "$new/usr/lib/$libraries" "$work/tool/usr/bin/patchelf" "$@"; }
patch --version >/dev/null || fail "patchelf does not run on this system"

is_elf() { [ "$(head -c 4 "$1" | tail -c 3)" = ELF ]; }
for program in "$new/usr/lib/postgresql/$major/bin"/*; do
	is_elf "$program" || continue # scripts
	patch --set-interpreter "$folder/$loader" --force-rpath --set-rpath "$folder/usr/lib/$libraries" "$program" ||
		fail "patching $program failed"
done

rm -rf "$folder"
mv "$new" "$folder"
chmod 755 "$folder"
works || fail "the programs in $bin do not run on this system"
echo "$bin"
