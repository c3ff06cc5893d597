#!/usr/bin/env bash
# What a core spends on a hook in claimgate, beside proxies that merely pass it on and beside gateways of other makes.
# See "Speed" in README.md; `run.sh --help` shows what can be set.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
PATH="$PATH:/usr/sbin:/usr/local/sbin"
# Numbers are written and read with a point.
export LC_ALL=C

ENTRIES=(claimgate pass lua haproxy node)
rounds=6 seconds=3 connections=64 pause=20 cores=0,1 entries=("${ENTRIES[@]}")
scratch=${TMPDIR:-/tmp}/claimgate-compare results='' readme='' measure='cpu latency' profile=dist plain=''

usage() {
  cat <<END
usage: run.sh [--rounds N] [--seconds N] [--connections N] [--pause MS] [--entries A,B] [--only cpu|latency]
              [--cores PROXY,LOAD] [--scratch DIRECTORY] [--results FILE] [--profile NAME] [--plain]
              [--readme]

Runs every entry in turn, N rounds in changing order, and prints a table: the processor time of the proxy for a hook
while it is saturated, and how long a hook takes at a moderate rate. Ends with 1 if claimgate missed one of its marks.

  --rounds       how many; $rounds unless said. With 0 it only checks that each entry does its job
  --seconds      of each measurement, behind one second to warm up; $seconds unless said
  --connections  kept open by the load; $connections unless said
  --pause        mean pause of a connection between two hooks in the measurement of times; $pause ms unless said
  --entries      some of: ${ENTRIES[*]}. pass is nginx, which the others are held against
  --only         one of the two measurements
  --cores        of the proxy, and of load and API; $cores unless said
  --scratch      a directory for everything that is written; $scratch unless said
  --results      rounds are added to those in this file, and the table shows all: rounds may be measured in pieces
  --profile      cargo's profile for claimgate and for the API behind it; $profile unless said. With dist, claimgate is
                 built as it is shipped, by deploy/build-release.sh
  --plain        builds claimgate by its profile alone
  --readme       writes the table into README.md

CLAIMGATE_BIN is the program to measure, and COMPARE_API_BIN the API; what is not set is built.
END
}

die() {
  echo "run.sh: $*" >&2
  exit 2
}

while (($#)); do
  [[ $1 =~ ^--(readme|plain|help)$ || $# -ge 2 ]] || die "$1 needs a value, or is not known; see --help"
  case $1 in
    --rounds) rounds=$2 ;;
    --seconds) seconds=$2 ;;
    --connections) connections=$2 ;;
    --pause) pause=$2 ;;
    --entries) IFS=, read -ra entries <<<"$2" ;;
    --only) measure=$2 ;;
    --cores) cores=$2 ;;
    --scratch) scratch=$2 ;;
    --results) results=$2 ;;
    --profile) profile=$2 ;;
    --plain) plain=1 && shift && continue ;;
    --readme) readme=1 && shift && continue ;;
    --help) usage && exit 0 ;;
    *) die "$1 is not known; see --help" ;;
  esac
  shift 2
done
for number in "$seconds" "$connections" "$pause"; do
  [[ $number =~ ^[1-9][0-9]{0,2}$ ]] || die "$number is not a number from 1 to 999"
done
[[ $rounds =~ ^(0|[1-9][0-9]{0,2})$ ]] || die "--rounds is a number from 0 to 999"
[[ $cores =~ ^[0-9]+,[0-9]+$ ]] || die "--cores is two numbers, such as 0,1"
[[ $measure =~ ^(cpu|latency|cpu latency)$ ]] || die "--only is cpu or latency"
for entry in "${entries[@]}"; do
  [[ " ${ENTRIES[*]} " == *" $entry "* ]] || die "no entry $entry; there are: ${ENTRIES[*]}"
done
proxy_core=${cores%,*} load_core=${cores#*,}
taskset -c "$cores" true 2>/dev/null || die "this machine has no cores $cores; two are needed, see --cores"

# Absolute, so that they hold whatever directory this was called from.
mkdir -p "$scratch"
scratch=$(cd "$scratch" && pwd)
[[ -z $results ]] || results=$(cd "$(dirname "$results")" && pwd)/$(basename "$results")
# Also where somebody else's workers read it: nginx's run as another user.
chmod 755 "$scratch"

# shellcheck source=benches/compare/setup.sh
source "$HERE/setup.sh"
# shellcheck source=benches/compare/check.sh
source "$HERE/check.sh"
# shellcheck source=benches/compare/table.sh
source "$HERE/table.sh"

# A proxy that is busy for less of the time (per cent) was not what limited the load: the machine was disturbed.
BUSY=85

# Processes to end, by entry; the API and the load are entries here.
declare -A pids=()
end_all() {
  local status=$? pid
  trap - EXIT INT TERM
  for pid in "${pids[@]}"; do
    kill -TERM "$pid" 2>/dev/null || true
  done
  # nginx and claimgate end open connections first; nobody needs them to take long.
  for _ in {1..30}; do
    kill -0 "${pids[@]}" 2>/dev/null || break
    sleep 0.1
  done
  for pid in "${pids[@]}"; do
    kill -KILL "$pid" 2>/dev/null || true
  done
  exit "$status"
}
trap end_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Jiffies of user and system time so far, of an entry's process and its children, with all their threads.
spent() {
  local pid=${pids[$1]} all
  all=$pid
  all+=" $(cat "/proc/$pid/task/$pid/children")"
  for pid in $all; do
    # The name, which may hold blanks, ends at the last parenthesis.
    sed 's/.*) //' "/proc/$pid/stat"
  done | awk '{ user += $12; kernel += $13 } END { print user, kernel }'
}

count() {
  curl -sf --max-time 5 "http://127.0.0.1:$api_port/-/count"
}

# A number for each run of the load, so that no two send the same hook.
run=$((RANDOM + 1))
# Sends hooks to an entry: seconds, mean pause. Sets `load` to: requests, µs, errors, p50 and p99 in µs.
send() {
  local entry=$1 time=$2 rest=$3
  run=$((run + 1))
  HOOK=$HERE/hook.json RUN=$run PAUSE=$rest taskset -c "$load_core" \
    wrk -t1 -c"$connections" -d"${time}s" --timeout 5s -s "$HERE/load.lua" "http://127.0.0.1:${ports[$entry]}" \
    >"$scratch/wrk.out" 2>&1 &
  pids[load]=$!
  wait "${pids[load]}" || die "wrk failed: $(cat "$scratch/wrk.out")"
  unset 'pids[load]'
  load=$(sed -n 's/^result //p' "$scratch/wrk.out")
  [[ -n $load ]] || die "wrk gave no result: $(cat "$scratch/wrk.out")"
}

# One measurement of one entry, written as one line of results. A failure ends the run.
measure_once() {
  local kind=$1 round=$2 entry=$3 rest=0 try before after hooks errors requests us p50 p99 busy
  [[ $kind == cpu ]] || rest=$pause
  for try in 1 2 3; do
    send "$entry" 1 "$rest"
    hooks=$(count)
    before=$(spent "$entry")
    send "$entry" "$seconds" "$rest"
    after=$(spent "$entry")
    hooks=$(($(count) - hooks))
    read -r requests us errors p50 p99 <<<"$load"
    [[ $errors == 0 ]] || die "$entry: $errors of $requests hooks failed, so this measures nothing:
$(grep -E 'Non-2xx|Socket' "$scratch/wrk.out")"
    # What was on its way when wrk stopped may have reached the API.
    ((hooks >= requests && hooks <= requests + connections)) ||
      die "$entry: the load counted $requests answers and the API $hooks hooks, so some were not passed on"
    [[ $kind == cpu ]] || break
    busy=$(awk -v "jiffies=$(getconf CLK_TCK)" -v "us=$us" '{ print int(($3 + $4 - $1 - $2) / jiffies / us * 1e8) }' \
      <<<"$before $after")
    ((busy < BUSY)) || break
    # Something else took the core of load and API, or that of the proxy.
    echo "round $round, $entry: the proxy was busy for $busy % of the time; $([[ $try == 3 ]] &&
      echo "counted all the same" || echo "thrown away and measured again")" >&2
  done
  echo "$kind $round $entry $requests $us $before $after $p50 $p99" >>"$results"
}

# The entries, beginning with another one in each round, and every second round backwards.
in_order() {
  local round=$1 n=${#entries[@]} i
  for ((i = 0; i < n; i++)); do
    if ((round % 2)); then
      echo "${entries[(i + round / 2) % n]}"
    else
      echo "${entries[(2 * n - 1 - i - round / 2 % n) % n]}"
    fi
  done
}

set_up
for entry in "${entries[@]}"; do
  start "$entry"
  check "$entry"
  echo "$entry: started, does what it should" >&2
done
((rounds)) || exit 0

results=${results:-$scratch/results-$(date -u +%Y%m%dT%H%M%SZ).txt}
describe >"$scratch/about.txt"
if [[ -s $results ]]; then
  # The day may differ between pieces of one measurement, nothing else.
  diff <(grep '^#' "$results" | grep -v '^# date') <(grep -v '^# date' "$scratch/about.txt") >&2 ||
    die "$results holds rounds of something else; see above"
else
  cp "$scratch/about.txt" "$results"
fi
# From here on, only the load is heard.
first=$(awk '!/^#/ && $2 > last { last = $2 } END { print last + 1 }' "$results")
for ((round = first; round < first + rounds; round++)); do
  for kind in $measure; do
    for entry in $(in_order "$round"); do
      measure_once "$kind" "$round" "$entry"
    done
  done
  echo "round $round of $((first + rounds - 1)) is measured" >&2
done

table "$results" >"$scratch/table.md"
cat "$scratch/table.md"
[[ -z $readme ]] || into_readme "$scratch/table.md"
echo "The rounds are in $results, the table is in $scratch/table.md" >&2
marks "$results"
