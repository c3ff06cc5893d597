# shellcheck shell=bash
# Part of run.sh: what the rounds say. Lines of results are
# KIND ROUND ENTRY REQUESTS µs USER SYSTEM USER SYSTEM P50 P99: jiffies before and after, times of a hook in µs.
# shellcheck disable=SC2154 # scratch is run.sh's.

# Functions of awk: medians, and every figure by kind, entry and round.
# shellcheck disable=SC2016 # The $ are awk's.
STATISTICS='
function sorted(list, n,    i, j, x) {
  for (i = 2; i <= n; i++) {
    x = list[i]
    for (j = i - 1; j > 0 && list[j] > x; j--) list[j + 1] = list[j]
    list[j + 1] = x
  }
}
# The figures of an entry, over all rounds that have it: sets n, low, middle, high.
function over_rounds(figure, entry,    list, r) {
  n = 0
  for (r = 1; r <= rounds; r++) if ((figure, entry, r) in value) list[++n] = value[figure, entry, r]
  settle(list)
}
# The same, each beside that of another entry in the same round: its share, or what it is more.
function beside(figure, entry, other, difference,    list, r, a, b) {
  n = 0
  for (r = 1; r <= rounds; r++) if ((figure, entry, r) in value && (figure, other, r) in value) {
    a = value[figure, entry, r]; b = value[figure, other, r]
    list[++n] = difference ? a - b : a / b
  }
  settle(list)
}
function settle(list) {
  if (!n) return
  sorted(list, n)
  low = list[1]; high = list[n]
  middle = n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}
/^# / { name = $2; sub(/^# [^ ]* /, ""); about[name] = $0; next }
{ if ($2 > rounds) rounds = $2 }
$1 == "cpu" {
  value["user", $3, $2] = ($8 - $6) * jiffy / $4
  value["system", $3, $2] = ($9 - $7) * jiffy / $4
  value["cpu", $3, $2] = value["user", $3, $2] + value["system", $3, $2]
  value["rate", $3, $2] = $4 * 1e6 / $5
}
$1 == "latency" {
  value["p50", $3, $2] = $10 / 1000
  value["p99", $3, $2] = $11 / 1000
  value["calm", $3, $2] = $4 * 1e6 / $5
}
'

statistics() {
  # µs of a jiffy, which is how the kernel counts processor time.
  awk -v "jiffy=$((1000000 / $(getconf CLK_TCK)))" "$STATISTICS $1" "$2"
}

# The table in Markdown: the file of results.
table() {
  statistics '
function text(figure, entry, form) {
  over_rounds(figure, entry)
  return n ? sprintf(form, middle, low, high) : "-"
}
function ratio(entry, other) {
  beside("cpu", entry, other, 0)
  return n ? sprintf("%.2f (%.2f to %.2f)", middle, low, high) : "-"
}
END {
  print "| on one core | µs of CPU a hook (min to max) | of it user | beside nginx passing on (min to max) | hooks/s at most | p50 ms | p99 ms |"
  print "|---|---|---|---|---|---|---|"
  count = split("claimgate pass haproxy lua node", entries, " ")
  for (i = 1; i <= count; i++) {
    entry = entries[i]
    if (!(entry in about)) continue
    printf "| %s | %s | %s | %s | %s | %s | %s |\n", about[entry], text("cpu", entry, "%.1f (%.1f to %.1f)"), text("user", entry, "%.1f"),
      entry == "pass" ? "1" : ratio(entry, "pass"), text("rate", entry, "%.0f"), text("p50", entry, "%.2f (%.2f to %.2f)"),
      text("p99", entry, "%.2f (%.2f to %.2f)")
  }
  print ""
  rest = "claimgate beside nginx with Lua: " ratio("claimgate", "lua") "; beside Node: " ratio("claimgate", "node") "."
  if (rest !~ /: -/) print rest
  over_rounds("calm", "claimgate")
  calm = n ? sprintf(", p50 and p99 at about %.0f hooks/s", middle) : ""
  printf "Medians of %d rounds with %s%s. ", rounds, about["load"], calm
  printf "%s; %s, commit %s.\n", about["machine"], about["date"], about["commit"]
}' "$1"
}

# What must hold, and whether it does: the file of results. Fails if something does not.
marks() {
  statistics '
function mark(what, is, limit) {
  printf "%s: %s, %.3f where at most %.3f is allowed\n", is <= limit ? "holds" : "MISSED", what, is, limit
  if (is > limit) missed = 1
}
function share(other, what, limit) {
  beside("cpu", "claimgate", other, 0)
  if (n) mark("CPU beside " what, middle, limit)
}
# No later than nginx passing on, but for noise: as far as the best and the worst round of each lie from their middle.
function times(figure,    noise) {
  over_rounds(figure, "pass")
  noise = (high - low) / 2
  over_rounds(figure, "claimgate")
  noise += (high - low) / 2
  beside(figure, "claimgate", "pass", 1)
  if (n) mark(figure " later than nginx passing on, in ms, but for noise", middle, noise)
}
END {
  share("pass", "nginx passing on", 1.2)
  share("lua", "nginx with Lua", 0.55)
  share("node", "Node", 0.3)
  times("p50")
  times("p99")
  exit missed
}' "$1"
}

# Puts the table between its marks in README.md.
into_readme() {
  awk -v "file=$1" '
/^<!-- compare -->$/ { print; print ""; while ((getline line < file) > 0) print line; print ""; inside = found = 1 }
/^<!-- end of compare -->$/ { inside = 0 }
!inside
END { exit !found }' "$ROOT/README.md" >"$scratch/README.md" || die "README.md has no <!-- compare -->"
  cat "$scratch/README.md" >"$ROOT/README.md"
}
