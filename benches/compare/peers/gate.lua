-- The job of a gateway for hooks, for nginx's Lua module: who calls, how often, which claims leave, what comes back.

local bit = require("bit")
local cjson = require("cjson")

local byte, floor = string.byte, math.floor
local bxor, bor = bit.bxor, bit.bor

-- entra:entra-password-of-thirty-two-bytes
local CREDENTIAL = "Basic ZW50cmE6ZW50cmEtcGFzc3dvcmQtb2YtdGhpcnR5LXR3by1ieXRlcw=="
local RATE = 1000000
local EXTENSION = "extension_0123456789abcdef0123456789abcdef_"
local SENT = {
  identities = true, email = true, email_address = true, ui_locales = true,
  displayName = true, givenName = true, surname = true, city = true, country = true,
  [EXTENSION .. "CustomerNumber"] = true, [EXTENSION .. "LoyaltyId"] = true,
}
local RECEIVED = { "displayName", "city", "country", "extension_LoyaltyId", "extension_ApprovalId" }

local shared = ngx.shared.hooks
-- Counted in the worker, added to what all workers share once a second.
local counts = {}
local M = {}

local function count(name)
  counts[name] = (counts[name] or 0) + 1
end

local function share()
  for name, value in pairs(counts) do
    shared:incr(name, value, 0)
    counts[name] = nil
  end
end

function M.start()
  ngx.timer.every(1, share)
end

function M.metrics()
  share()
  for _, name in ipairs(shared:get_keys(0)) do
    ngx.say(name, " ", shared:get(name))
  end
end

-- In a time that does not tell how much of it is right.
local function same(given, expected)
  if #given ~= #expected then
    return false
  end
  local differs = 0
  for i = 1, #expected do
    differs = bor(differs, bxor(byte(given, i), byte(expected, i)))
  end
  return differs == 0
end

local function allowed(caller)
  local second = floor(ngx.now())
  local so_far = shared:incr("rate:" .. caller .. second, 1, 0, 2)
  return not so_far or so_far <= RATE
end

local function answer(status, body, decision, reason)
  count('hooks_total{decision="' .. decision .. '"}')
  ngx.var.decision, ngx.var.reason = decision, reason
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

local function refuse(status, reason)
  if status == 401 then
    ngx.header["WWW-Authenticate"] = 'Basic realm="hooks"'
  end
  return answer(status, cjson.encode({ status = status, reason = reason }), "refused", reason)
end

-- The API gave no decision: nobody comes in.
local function failure(reason)
  local page = { version = "1.0.0", action = "ShowBlockPage", userMessage = "Please try again later." }
  return answer(200, cjson.encode(page), "ShowBlockPage", reason)
end

local function selected(claims)
  local sent, dropped, n = {}, {}, 0
  for name, value in pairs(claims) do
    if SENT[name] then
      sent[name] = value
    else
      n = n + 1
      dropped[n] = name
    end
  end
  return sent, table.concat(dropped, ",")
end

local function decide(status, said)
  local action, message = said.action, said.userMessage
  if action == "Continue" and status == 200 then
    local body = { version = "1.0.0", action = "Continue" }
    for _, name in ipairs(RECEIVED) do
      body[name] = said[name]
    end
    return answer(200, cjson.encode(body), action, "")
  end
  if type(message) ~= "string" then
    return failure("bad_answer")
  end
  if action == "ShowBlockPage" then
    return answer(200, cjson.encode({ version = "1.0.0", action = action, userMessage = message }), action, "")
  end
  if action == "ValidationError" and status == 400 then
    local body = { version = "1.0.0", status = 400, action = action, userMessage = message }
    return answer(400, cjson.encode(body), action, "")
  end
  return failure("bad_answer")
end

function M.hook()
  if not same(ngx.var.http_authorization or "", CREDENTIAL) then
    return refuse(401, "unauthenticated")
  end
  ngx.var.caller = "entra"
  if not allowed("entra") then
    return refuse(429, "rate_limited")
  end
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  local read, claims = pcall(cjson.decode, body or "")
  if not read or type(claims) ~= "table" then
    return refuse(400, "bad_request")
  end
  local sent
  sent, ngx.var.dropped = selected(claims)
  local api = ngx.location.capture("/check", { method = ngx.HTTP_POST, body = cjson.encode(sent) })
  local understood, said = pcall(cjson.decode, api.body)
  if api.truncated or not understood or type(said) ~= "table" then
    return failure(api.status >= 500 and "api_failed" or "bad_answer")
  end
  return decide(api.status, said)
end

return M
