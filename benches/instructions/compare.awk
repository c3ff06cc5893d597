# Holds the counts of the second file against the figures of the first, and against each other.

/^#/ { next }
FNR == NR { old[$1] = $2; next }
{
  new[$1] = $2
  if (!($1 in old)) {
    printf "%-32s %9s %9d\n", $1, "-", $2
    fail($1 " has no figure yet. With " accept " it gets one")
    next
  }
  percent = 100 * ($2 - old[$1]) / old[$1]
  printf "%-32s %9d %9d %+7.2f %%\n", $1, old[$1], $2, percent
  if (judged && percent > 3)
    fail(sprintf("%s takes %d instructions where it took %d: %+.2f %%, and 3 %% are allowed.\n" \
      "    If it has to be: %s", $1, $2, old[$1], percent, accept))
  if (judged && percent < -3)
    told = told sprintf("better: %s by %.2f %%; to hold it there: %s\n", $1, -percent, accept)
}

END {
  for (name in old)
    if (!(name in new)) fail(name " has a figure and was not counted. With " accept " the figure goes")

  # What is configured beside the hook must not cost it anything.
  one = new["whole.sign_up"]; many = new["whole.of_5000_flows"]
  if (!one || !many) fail("a hook among one and among 5,000 user flows must be counted")
  else if (many > 1.03 * one)
    fail(sprintf("a hook takes %d instructions among 5,000 user flows and %d alone: it must be the same within 3 %%", many, one))

  # Four times the claims must not take more than four times as much, steps between them aside: that a body comes in more
  # pieces, that names are sorted. Where the work grows with the square it would be sixteen times.
  small = new["whole.of_150_claims"]; large = new["whole.of_600_claims"]
  if (!small || !large) fail("hooks of 150 and 600 claims must be counted")
  else if (large > 4 * small)
    fail(sprintf("a hook of 600 claims takes %d instructions, one of 150 %d: more than four times as many", large, small))

  printf "%s%s", told, failures
  if (failures) exit 1
}

function fail(text) { failures = failures "FAILED: " text "\n" }
