# shellcheck shell=bash
# Part of run.sh: that an entry does what it is measured for.
# shellcheck disable=SC2154 # scratch, ports … are run.sh's.

# One hook: entry, password, user. Sets `status`, `body`, and in `last` what the API got.
one_hook() {
  local entry=$1 password=$2 user=$3
  tr -d '\n' <"$HERE/hook.json" | sed "s/NNNNNNNNNNNN/$user/" >"$scratch/hook"
  status=$(curl -s --max-time 10 -o "$scratch/body" -w '%{http_code}' -u "entra:$password" \
    -H 'Content-Type: application/json; charset=utf-8' -H 'Expect:' --data-binary "@$scratch/hook" \
    "http://127.0.0.1:${ports[$entry]}/flows/B2X_1_SignUp/postAttributeCollection") || die "$entry: curl failed"
  body=$(cat "$scratch/body")
  last=$(curl -sf --max-time 5 "http://127.0.0.1:$api_port/-/last" || true)
}

answer_with() {
  curl -sf --max-time 5 -X PUT "http://127.0.0.1:$api_port/-/answer/$1" || die "the API does not know $1"
}

hold() {
  local what=$1
  shift
  "$@" || die "$entry: $what; it answered $status $body
and the API got: $last"
}

# The JSON text has this name, or value.
has() { [[ $1 == *"\"$2\""* ]]; }
has_not() { ! has "$@"; }
is() { [[ $1 == "$2" ]]; }

# The right thing comes back and arrives, or the run ends.
check() {
  local entry=$1 status body last name before
  local right=entra-password-of-thirty-two-bytes user
  # Another user for each hook, here too.
  user=$(printf '%s%03d' "$(date +%s | tail -c 8)" "$((RANDOM % 1000))")
  answer_with continue
  one_hook "$entry" "$right" "${user}01"
  hold "a hook is not continued" is "$status" 200
  case $entry in
    pass | haproxy) check_passed_on ;;
    *) check_whole_job ;;
  esac
  answer_with continue
}

# Every byte of both bodies, and the caller's credential.
check_passed_on() {
  hold "the body is not passed on" is "${last##*$'\r\n\r\n'}" "$(cat "$scratch/hook")"
  hold "the head is not passed on" grep -qi '^authorization: Basic ZW50cmE6' <<<"$last"
  local straight
  for name in continue block validation; do
    answer_with "$name"
    straight=$(curl -s --max-time 5 -X POST "http://127.0.0.1:$api_port/flows")
    one_hook "$entry" "$right" "${user}02"
    hold "the answer is not passed on" is "$body" "$straight"
  done
}

check_whole_job() {
  local extension=extension_0123456789abcdef0123456789abcdef_
  for name in identities email ui_locales displayName givenName surname city country \
    "${extension}CustomerNumber" "${extension}LoyaltyId" "C-${user}01"; do
    hold "$name was not sent" has "$last" "$name"
  done
  for name in objectId streetAddress state postalCode step client_id "${extension}JobTitle" "${extension}CompanyName" \
    "${extension}TelephoneNumber" "${extension}PreferredLanguage" "${extension}ReferredBy" "${extension}Newsletter" \
    "${extension}DateOfBirth" "${extension}TermsAccepted"; do
    hold "$name was sent" has_not "$last" "$name"
  done
  hold "the API got no credential" grep -qi '^authorization: Basic Y2xhaW1nYXRlOmFwaS1wYXNzd29yZA==' <<<"$last"
  hold "the API got the caller's credential" has_not "$last" "ZW50cmE6"
  for name in Continue displayName city country extension_LoyaltyId extension_ApprovalId; do
    hold "$name did not come back" has "$body" "$name"
  done
  for name in postalCode extension_Internal; do
    hold "$name came back" has_not "$body" "$name"
  done

  before=$(count)
  one_hook "$entry" wrong "${user}03"
  hold "a wrong password is not refused" is "$status" 401
  hold "a wrong password reaches the API" is "$(count)" "$before"

  answer_with block
  one_hook "$entry" "$right" "${user}04"
  hold "a block page is not 200" is "$status" 200
  hold "a block page has no action" has "$body" ShowBlockPage
  hold "a block page has no message" has "$body" "Please wait for approval."

  answer_with validation
  one_hook "$entry" "$right" "${user}05"
  hold "a validation error is not 400" is "$status" 400
  hold "a validation error has no action" has "$body" ValidationError
  hold "a validation error does not say 400" grep -qE '"status": ?400' <<<"$body"
  hold "a validation error has no message" has "$body" "Please enter five digits."
}
