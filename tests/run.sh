#!/usr/bin/env bash
# All tests, with what they need. See "Building and testing" in README.md.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Real programs that the tests talk to. They are installed where that is possible; the tests of one that is missing are
# left out openly.
peers=(nginx curl openssl sslscan)
packages=(nginx-light curl openssl sslscan)
missing=()

has() { PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$1" >/dev/null; }

install=()
for i in "${!peers[@]}"; do
  has "${peers[i]}" || install+=("${packages[i]}")
done
if ((${#install[@]})) && [[ $(id -u) == 0 ]] && has apt-get; then
  echo "== installing ${install[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "${install[@]}" ||
    echo "== apt-get failed; going on without" >&2
fi
for i in "${!peers[@]}"; do
  variable="CLAIMGATE_WITHOUT_${peers[i]^^}"
  if has "${peers[i]}"; then
    unset "$variable"
  else
    export "$variable=1"
    missing+=("${peers[i]} (package ${packages[i]})")
  fi
done

# A snapshot that differs is a failure, not a proposal to be accepted.
export INSTA_UPDATE="${INSTA_UPDATE:-no}"

results=()
failed=0
run() {
  echo "== $*"
  if "$@"; then
    results+=("passed: $*")
  else
    results+=("FAILED: $*")
    failed=1
  fi
}

if cargo nextest --version >/dev/null 2>&1; then
  run cargo nextest run --locked --no-fail-fast
else
  run cargo test --locked --no-fail-fast --lib --bins --tests
fi
run cargo test --locked --doc
# Each measurement once, without measuring: that it does what it says it measures.
run cargo test --locked --benches

echo
echo "== summary"
printf '   %s\n' "${results[@]}"
for peer in ${missing[@]+"${missing[@]}"}; do
  echo "   LEFT OUT: the tests that need $peer, which is not installed"
done
if ((${#missing[@]})) && [[ -n ${CLAIMGATE_ALL_PEERS:-} ]]; then
  echo "   FAILED: CLAIMGATE_ALL_PEERS is set, and not all are there"
  failed=1
fi
exit "$failed"
