#!/usr/bin/env bash
# Counts the instructions of a hook and of its parts, and holds them against figures.txt.
#
#   benches/instructions/run.sh            over 3 % more than the figure is a failure
#   benches/instructions/run.sh --accept   writes new figures
#
# Ends with 0 where all is within bounds, 1 where something takes more, 2 where nothing could be counted, and 3 where it
# was counted but not judged, because the figures are those of other tools.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
figures=$here/figures.txt
accept="benches/instructions/run.sh --accept"

cannot() {
  echo "instructions: $*" >&2
  exit 2
}

case "$*" in
  "" | --accept) ;;
  *) cannot "usage: benches/instructions/run.sh [--accept]" ;;
esac
command -v valgrind >/dev/null || cannot "valgrind is missing: apt-get install valgrind libc6-dbg"
version=$(cargo pkgid --locked gungraun | grep -o '[0-9][0-9.]*$') || cannot "gungraun is not in Cargo.lock"
[[ $(gungraun-runner --version 2>/dev/null) == *" $version" ]] ||
  cannot "its runner is missing, or is not $version: cargo install --locked gungraun-runner@$version"

# All that a count depends on beside the code. Valgrind shows every program the same processor, as far as the real one
# can do what that can.
tools() {
  local cpu libc
  cpu=$(grep -m1 '^flags' /proc/cpuinfo | grep -owE 'avx2|rdrand' | sort -u | tr '\n' ' ')
  libc=$(getconf GNU_LIBC_VERSION)
  echo "$(rustc --version), $(valgrind --version), $libc, $(uname -m) ${cpu% }"
}

counted=$(mktemp -d)
trap 'rm -rf "$counted"' EXIT

# One line each: the name, and the instructions of one round of a hundred. Threads beside that of the hook count nothing.
counts() {
  local folder
  for folder in "$counted"/claimgate/instructions/*/*/; do
    cat "$folder"/callgrind.*.out |
      awk -v name="$(basename "$folder")" '/^totals:/ { total += $2 } END { printf "%-32s %9d\n", name, total / 100 }'
  done
}

# Counts once more. Of each the least so far stands.
count() {
  rm -rf "$counted/claimgate"
  GUNGRAUN_HOME=$counted cargo bench --locked --quiet --bench instructions -- \
    --callgrind-metrics=ir --parallel=auto >"$counted/log" 2>&1 || { cat "$counted/log" >&2 && cannot "the run failed"; }
  touch "$counted/new"
  { counts && cat "$counted/new"; } | sort -k1,1 -k2,2n | sort -u -k1,1 >"$counted/least"
  mv "$counted/least" "$counted/new"
  [[ -s $counted/new ]] || cannot "the run counted nothing"
}

count
if [[ $* == --accept ]]; then
  {
    echo "# Instructions, on average over a hundred rounds; \`whole\` are those of a whole hook. Written by $accept."
    echo "# $(tools)"
    cat "$counted/new"
  } >"$figures"
  echo "instructions: accepted"
fi

judged=1
if ! grep -qxF "# $(tools)" "$figures"; then
  judged=0
  echo "instructions: the figures are those of other tools, so that a difference may not be the code's. They are of"
  echo "    $(sed -n '2s/^# //p' "$figures")"
  echo "and these are"
  echo "    $(tools)"
fi

# The system cuts a long body into pieces, not always at the same places: what is over a bound is counted twice more before
# it is believed.
compare() {
  awk -v judged="$judged" -v accept="$accept" -f "$here/compare.awk" "$figures" "$counted/new" >"$counted/said"
}
compare || { count && compare; } || { count && compare; } || { cat "$counted/said" && exit 1; }
cat "$counted/said"
if ((!judged)); then
  echo "instructions: NOT JUDGED against figures.txt. On a state that is known to be good: $accept"
  exit 3
fi
