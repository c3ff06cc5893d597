// The job of a gateway for hooks, for Node: who calls, how often, which claims leave, what comes back.
// node gate.js PORT API_PORT

import { timingSafeEqual } from 'node:crypto'
import fastify from 'fastify'
import pino from 'pino'
import { Pool } from 'undici'

const [port, apiPort] = process.argv.slice(2).map(Number)
const CREDENTIAL = basic('entra:entra-password-of-thirty-two-bytes')
const RATE = 1_000_000
const EXTENSION = 'extension_0123456789abcdef0123456789abcdef_'
const SENT = new Set([
  'identities', 'email', 'email_address', 'ui_locales', 'displayName', 'givenName', 'surname', 'city', 'country',
  `${EXTENSION}CustomerNumber`, `${EXTENSION}LoyaltyId`
])
const RECEIVED = ['displayName', 'city', 'country', 'extension_LoyaltyId', 'extension_ApprovalId']
const TO_API = {
  'content-type': 'application/json',
  authorization: basic('claimgate:api-password').toString()
}

const api = new Pool(`http://127.0.0.1:${apiPort}`, { connections: 2048, headersTimeout: 2000, bodyTimeout: 2000 })
// Lines are written in batches.
const log = pino({ base: null }, pino.destination({ dest: '/dev/null', sync: false, minLength: 8192 }))
const hooks = { refused: 0, Continue: 0, ShowBlockPage: 0, ValidationError: 0 }
const seconds = { sum: 0, count: 0 }
let second = 0
let thisSecond = 0

function basic (pair) {
  return Buffer.from(`Basic ${Buffer.from(pair).toString('base64')}`)
}

// In a time that does not tell how much of it is right.
function same (given, expected) {
  const bytes = Buffer.from(given ?? '')
  return bytes.length === expected.length && timingSafeEqual(bytes, expected)
}

function allowed () {
  const now = Math.floor(Date.now() / 1000)
  if (now !== second) {
    second = now
    thisSecond = 0
  }
  return ++thisSecond <= RATE
}

// The API gave no decision: nobody comes in.
function failure (reason) {
  const body = { version: '1.0.0', action: 'ShowBlockPage', userMessage: 'Please try again later.' }
  return { status: 200, decision: 'ShowBlockPage', reason, body }
}

function decide (status, said) {
  const { action, userMessage } = said
  if (action === 'Continue' && status === 200) {
    const body = { version: '1.0.0', action }
    for (const name of RECEIVED) {
      if (said[name] !== undefined) body[name] = said[name]
    }
    return { status: 200, decision: action, body }
  }
  if (typeof userMessage === 'string') {
    if (action === 'ShowBlockPage') {
      return { status: 200, decision: action, body: { version: '1.0.0', action, userMessage } }
    }
    if (action === 'ValidationError' && status === 400) {
      return { status: 400, decision: action, body: { version: '1.0.0', status: 400, action, userMessage } }
    }
  }
  return failure('bad_answer')
}

async function call (claims) {
  let answer
  try {
    answer = await api.request({ method: 'POST', path: '/check', headers: TO_API, body: JSON.stringify(claims) })
    const said = JSON.parse(await answer.body.text())
    return said !== null && typeof said === 'object' ? decide(answer.statusCode, said) : failure('bad_answer')
  } catch (fault) {
    return failure(fault.code ?? 'bad_answer')
  }
}

function reply (request, response, began, dropped, { status, decision, reason, body }) {
  const took = performance.now() - began
  hooks[decision]++
  seconds.sum += took / 1000
  seconds.count++
  log.info({
    request_id: request.id,
    user_flow: 'B2X_1_SignUp',
    step: 'postAttributeCollection',
    caller: decision === 'refused' ? undefined : 'entra',
    decision,
    reason,
    status,
    duration_ms: took,
    claims_dropped: dropped
  })
  return response.code(status).header('content-type', 'application/json').send(JSON.stringify(body))
}

function refusal (status, reason) {
  return { status, decision: 'refused', reason, body: { status, reason } }
}

const server = fastify({ logger: false, bodyLimit: 64 << 10, keepAliveTimeout: 120_000 })

server.post('/flows/B2X_1_SignUp/postAttributeCollection', {
  // Before the body is read.
  onRequest: (request, response, next) => {
    request.began = performance.now()
    if (!same(request.headers.authorization, CREDENTIAL)) {
      response.header('www-authenticate', 'Basic realm="hooks"')
      reply(request, response, request.began, undefined, refusal(401, 'unauthenticated'))
    } else if (!allowed()) {
      reply(request, response, request.began, undefined, refusal(429, 'rate_limited'))
    } else {
      next()
    }
  },
  handler: async (request, response) => {
    const claims = {}
    const dropped = []
    for (const name of Object.keys(request.body)) {
      if (SENT.has(name)) claims[name] = request.body[name]
      else dropped.push(name)
    }
    return reply(request, response, request.began, dropped, await call(claims))
  }
})

server.get('/metrics', async () => {
  const lines = Object.entries(hooks).map(([decision, n]) => `hooks_total{decision="${decision}"} ${n}`)
  lines.push(`hook_seconds_sum ${seconds.sum}`, `hook_seconds_count ${seconds.count}`)
  return lines.join('\n') + '\n'
})

server.decorateRequest('began', 0)
await server.listen({ host: '127.0.0.1', port, backlog: 1024 })
