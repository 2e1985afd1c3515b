# Packages from apt, installed only where they are missing. Names are the same on Debian 12, 13 and Ubuntu 24.04.

kBuildPackages=(cmake ninja-build g++ ccache pkg-config libfmt-dev nlohmann-json3-dev libsimdjson-dev
  libpcre2-dev libutf8proc-dev libxxhash-dev libcli11-dev libgtest-dev libgmock-dev libbenchmark-dev libsimde-dev)
kCompilerPackages=(llvm-19-dev zlib1g-dev libzstd-dev)  # reprise-compiler; not in Ubuntu 22.04
kServerPackages=(libboost1.83-dev libboost1.81-dev)  # the first that apt knows
kServerFilePackages=(libyaml-cpp-dev)  # for serve --config
kPythonPackages=(python3 python3-venv python3-pip ca-certificates)
kBrowserPackages=(chromium)
kFuzzPackages=(clang-19 libclang-rt-19-dev llvm-19)
kTidyPackages=(clang-tidy-19 python3)
kFormatPackages=(clang-format-14)  # one version for all: each formats a few lines in another way
kCoveragePackages=(gcovr)
kEmulatePackages=(dpkg-dev g++ make patch busybox-static cpio isolinux syslinux-common xorriso)

say() { printf '\033[1m== %s\033[0m\n' "$*" >&2; }
die() { printf 'run: error: %s\n' "$*" >&2; exit 1; }

# need PACKAGE...: asks dpkg first (fast), calls apt only for what is missing.
need() {
  [ -z "${REPRISE_SKIP_APT:-}" ] || return 0
  command -v dpkg-query apt-get >/dev/null ||
    die "this machine has no apt; install the counterparts of: $* and set REPRISE_SKIP_APT=1"
  local package present missing=() as_root=()
  # dpkg-query fails where it doesn't know one of them at all, which is what a fresh machine is like.
  present=$({ dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null || true; } | awk '$1 == "ii" { print $2 }')
  for package in "$@"; do
    grep -qx -- "$package" <<<"$present" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null ||
      die "these packages are missing: ${missing[*]}; you are not root and there is no sudo: have an administrator run 'apt-get install ${missing[*]}'"
    as_root=(sudo)
  fi
  say "installing: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq >&2 || say "apt-get update failed; going on with the package lists there are"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >&2 || die "apt could not install: ${missing[*]}"
}

# need_first_known PACKAGE...: the first of them that apt knows; goes on without where it knows none.
need_first_known() {
  [ -z "${REPRISE_SKIP_APT:-}" ] || return 0
  local package
  for package in "$@"; do
    if apt-cache show "$package" >/dev/null 2>&1; then
      need_if_known "$package"
      return 0
    fi
  done
  say "going on without any of $*: this system's packages lack them"
}

# need_if_known PACKAGE...: as need, but goes on without them where apt doesn't know one of them.
need_if_known() {
  [ -z "${REPRISE_SKIP_APT:-}" ] || return 0
  local package
  for package in "$@"; do
    apt-cache show "$package" >/dev/null 2>&1 ||
      { say "going on without $*: this system's packages lack $package"; return 0; }
  done
  need "$@"
}
