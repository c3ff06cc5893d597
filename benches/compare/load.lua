-- The identity provider: every hook is of another user, so that no gateway may answer it from memory.
-- In the environment: HOOK, the file of a hook; RUN, a number that tells the users of one run of wrk from those of all
-- others; PAUSE, the mean pause of a connection between two hooks in milliseconds, 0 for none.

local file = assert(io.open(os.getenv("HOOK")))
local hook = file:read("*a"):gsub("\n", "")
file:close()
local before, tail = hook:match("^(.-)NNNNNNNNNNNN(.*)$")
local users = tonumber(os.getenv("RUN")) * 10000000
local pause = tonumber(os.getenv("PAUSE"))

local head = table.concat({
  "POST /flows/B2X_1_SignUp/postAttributeCollection HTTP/1.1",
  "Host: hooks.example.com",
  -- entra:entra-password-of-thirty-two-bytes
  "Authorization: Basic ZW50cmE6ZW50cmEtcGFzc3dvcmQtb2YtdGhpcnR5LXR3by1ieXRlcw==",
  "Content-Type: application/json; charset=utf-8",
  "User-Agent: Microsoft-API-Connector",
  "Accept: application/json",
  "Content-Length: " .. #hook,
  "\r\n",
}, "\r\n") .. before

function request()
  users = users + 1
  return head .. string.format("%012d", users) .. tail
end

if pause > 0 then
  -- Spread evenly, so that the hooks do not come in step. wrk times a hook from the end of its pause.
  function delay()
    return math.random(0, 2 * pause)
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "result %d %d %d %d %d\n",
    summary.requests,
    summary.duration,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status,
    latency:percentile(50),
    latency:percentile(99)
  ))
end
