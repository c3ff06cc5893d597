#!/usr/bin/env bash
# Builds claimgate as it is shipped: see `build-release.sh --help`, and "Building and testing" in README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Hooks of a training, half of them under TLS; and of the trial of what came out.
HOOKS=60000
TRIAL=2000

usage() {
  cat <<END
usage: deploy/build-release.sh

Builds claimgate as it is shipped, optimised by a profile of itself at work, and prints the path of the program:

  1. a program that counts what it executes (cargo's profile dist)
  2. a training: that program answers $HOOKS hooks over the loopback address, each of which must be answered rightly
  3. the program, optimised for what was counted (profile dist again); it then answers $TRIAL hooks as a trial

What is still true of an earlier call is not done again. All is written to the folder pgo of cargo's target directory.

Needed, besides what cargo needs: llvm-profdata of the LLVM that rustc has (rustup component add llvm-tools). Another
than rustup's is named by LLVM_PROFDATA. RUSTFLAGS are kept and added to; the rustflags of cargo's configuration
files do not count here. It builds for the machine that it runs on, since it runs what it builds.
END
}

say() {
  echo "build-release.sh: $*" >&2
}

die() {
  say "$@"
  exit 1
}

if (($#)); then
  [[ $# == 1 && $1 == --help ]] && usage && exit 0
  say "$1 is not known; see --help"
  exit 2
fi

# What is started is a process group of its own, and ends with this script: compilers, load and program.
set -m
job=
counts=
pgo=
end_all() {
  local status=$?
  trap - EXIT HUP INT TERM
  if [[ -n $job ]]; then
    kill -TERM -- "-$job" 2>/dev/null || true
    wait "$job" 2>/dev/null || true
  fi
  [[ -z $counts ]] || rm -rf "$counts"
  # What an earlier call has left there is not what this one was asked for.
  [[ $status == 0 || -z $pgo ]] || rm -f "$pgo/claimgate" "$pgo/claimgate.new"
  exit "$status"
}
trap end_all EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

run() {
  local status=0
  "$@" </dev/null >&2 &
  job=$!
  wait "$job" || status=$?
  job=
  return "$status"
}

command -v cargo >/dev/null || die "cargo is missing: see https://rustup.rs"
rustc=$(rustc -vV)
host=$(sed -n 's/^host: //p' <<<"$rustc")
llvm=$(sed -n 's/^LLVM version: //p' <<<"$rustc")
profdata=${LLVM_PROFDATA:-$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata}
[[ -x $profdata ]] ||
  die "$profdata is missing: rustup component add llvm-tools, or name the llvm-profdata of LLVM $llvm in LLVM_PROFDATA"
version=$("$profdata" --version | sed -n 's/.*LLVM version \([0-9.]*\).*/\1/p')
# The form of what is counted may change with each major version.
[[ ${version%%.*} == "${llvm%%.*}" ]] ||
  die "$profdata is of LLVM ${version:-?}, rustc of LLVM $llvm: rustup component add llvm-tools, and unset LLVM_PROFDATA"

target=$(cargo metadata --locked --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
[[ -n $target ]] || die "cargo metadata does not say where its target directory is"
pgo=$target/pgo
mkdir -p "$pgo"

# The flags that are there already, and these, in cargo's own form, in which a path may have blanks.
flags() {
  local all=()
  if [[ -n ${CARGO_ENCODED_RUSTFLAGS:-} ]]; then
    IFS=$'\x1f' read -ra all <<<"$CARGO_ENCODED_RUSTFLAGS"
  else
    read -ra all <<<"${RUSTFLAGS:-}"
  fi
  all+=("$@")
  local IFS=$'\x1f'
  echo "${all[*]}"
}

# Builds, and sets `program`: the name of the build, its flags.
# The target is named so that the flags are those of the program alone: build scripts and macros are built as ever.
build() {
  local name=$1
  shift
  CARGO_ENCODED_RUSTFLAGS=$(flags "$@") run cargo build --locked --profile dist --bin claimgate --target "$host" \
    --target-dir "$pgo/$name" || die "the $name program could not be built"
  program=$pgo/$name/$host/dist/claimgate
}

# Sends hooks to a program, and fails if one is not answered rightly: the program, how many hooks.
train() {
  CLAIMGATE_PROGRAM=$1 run cargo bench --locked --profile dev --bench scaling -- --train "$2"
}

# It would take the counts of the training elsewhere.
unset LLVM_PROFILE_FILE

say "1. a program that counts what it executes"
build counting "-Cprofile-generate=$pgo/counts"

# A profile is that of a program and a training; its name says so, since cargo looks at flags and not into the file.
key=$({
  echo "$HOOKS $version"
  cat "$program" benches/scaling/train.rs benches/scaling/train/* benches/scaling/{gateway,handshakes,hooks}.rs \
    benches/peers/api.rs
} | sha256sum | cut -c1-16)
profile=$pgo/$key.profdata
if [[ -s $profile ]]; then
  say "2. not trained: nothing has changed since $profile"
else
  say "2. the training: $HOOKS hooks"
  counts=$(mktemp -d "$pgo/counts.XXXXXX")
  LLVM_PROFILE_FILE="$counts/%m.profraw" train "$program" "$HOOKS" || die "the training failed"
  compgen -G "$counts/*.profraw" >/dev/null || die "the program has written no counts to $counts"
  run "$profdata" merge --output "$counts/profdata" "$counts"/*.profraw || die "$profdata cannot read the counts"
  # What was built by an earlier profile is of no use any more; build scripts and macros beside it are.
  rm -rf "$pgo"/*.profdata "$pgo/optimised/$host"
  mv "$counts/profdata" "$profile"
  rm -rf "$counts"
fi

say "3. the program, optimised for what was counted"
build optimised "-Cprofile-use=$profile"
if ! cmp -s "$program" "$pgo/claimgate"; then
  train "$program" "$TRIAL" || die "what was built does not answer as it should"
  cp "$program" "$pgo/claimgate.new"
  mv "$pgo/claimgate.new" "$pgo/claimgate"
fi
echo "$pgo/claimgate"
