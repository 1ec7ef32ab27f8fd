// The page stays true by itself: one socket, bells make parts of the page fetch themselves again, figures are
// patched in place.
//
// data-live="containers container:<id>"  the element hears these topics: it gets the event `changed` (htmx fetches it)
// data-operation="<id>" data-seq="n"     every event after n comes as `slipway:operation` {id, events} on document
// data-cpu="<id>", data-mem="<id>"       figures of that container: its .v, its .spark, its .bar (data-limit: bytes)
// data-load="<id>"                       the sum of an engine's containers
// data-live-state                        "live" or "reconnecting", with words in its [data-live-text]
// <body data-made="seconds">             when the server made the page: what changed since then is told at once
import { $, $$ } from './dom.js'
import { begin, patch } from './figures.js'
import { tr } from './texts.js'

const GATHER = 150, APART = 600, AT_ONCE = 10, TOGETHER = 50, FEW = 5, BURST = 4, QUIET = 25000, ANSWER = 10000, WAITS = [300, 600, 1200, 2500, 5000, 10000]
const SLACK = 2000 // the page's rows were read a little before its time was written into it

const seen = new Map() // topic → the number we know of; for operations the last event
const heard = new Set() // topics the server has been asked for on this socket
const refreshes = new WeakMap() // element → {timer, times, dirty}
const rang = new WeakMap() // a part of a list → when its bell rang
let socket = null, open = false, failures = 0, lastWord = Date.now(), lostAt = 0, retry = 0, quiet = 0, hiddenAt = 0, rowsSent = ''

/** Starts, where the page has anything that lives. */
export function keepLive() {
  if (!$('[data-live], [data-operation], [data-cpu], [data-mem]')) return
  begin()
  connect()
  document.addEventListener('htmx:afterSettle', () => { begin(); if (open) subscribe() })
  document.addEventListener('visibilitychange', () => {
    hiddenAt = document.hidden ? Date.now() : 0
    if (document.hidden) { setTimeout(() => { if (document.hidden && open) subscribe() }, 10000); return }
    if (!open) connect(true)
    else subscribe()
    $$('[data-live]').forEach(el => { if (refreshes.get(el)?.dirty) refresh(el) })
  })
  addEventListener('online', () => { if (!open) connect(true) })
  addEventListener('pagehide', () => socket?.close())
  addEventListener('pageshow', event => { if (event.persisted) connect(true) })
  setInterval(tell, 1000)
}

function connect(now = false) {
  clearTimeout(retry)
  if (socket && socket.readyState <= WebSocket.OPEN) { if (!now || open) return; drop() }
  const it = socket = new WebSocket(`${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/ws/live/`)
  it.onopen = () => { if (it === socket) { open = true; failures = 0; heard.clear(); rowsSent = ''; word(); subscribe(true); tell() } }
  it.onmessage = event => { if (it === socket) { word(); take(JSON.parse(event.data)) } }
  it.onclose = event => { if (it === socket) lost(event.code) }
}

function drop() { const old = socket; socket = null; open = false; if (old) { old.onclose = old.onmessage = null; old.close() } }

function lost(code) {
  drop()
  clearTimeout(quiet)
  lostAt ||= Date.now()
  if (code === 4401 || code === 4403 || code === 4408) {
    // Signed out, here or elsewhere: the server knows where to go from here.
    setTimeout(() => location.reload(), document.hidden ? 5000 : 300)
    return
  }
  const wait = code === 4429 ? 30000 : WAITS[Math.min(failures++, WAITS.length - 1)]
  retry = setTimeout(connect, wait * (0.7 + Math.random() * 0.6))
  tell()
}

/** A sign of life came; after a long silence one is asked for, since a dead connection is silent too. */
function word() {
  lastWord = Date.now()
  lostAt = 0
  clearTimeout(quiet)
  quiet = setTimeout(() => {
    send({ subscribe: [] })
    quiet = setTimeout(() => lost(0), ANSWER)
  }, QUIET)
}

const send = frame => { if (open && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame)) }

/** What the page has now is what is heard: elements come and go with every swap. */
function subscribe(first = false) {
  const wanted = new Set($$('[data-live]').flatMap(el => el.dataset.live.split(/\s+/).filter(Boolean)))
  const after = {}, made = Number(document.body.dataset.made || 0) * 1000 - SLACK
  $$('[data-operation]').forEach(el => {
    const topic = `operation:${el.dataset.operation}`
    wanted.add(topic)
    if (!seen.has(topic)) seen.set(topic, Number(el.dataset.seq) || 0)
  })
  const rows = [...new Set($$('[data-load], [data-cpu], [data-mem]').map(el => el.dataset.load || el.dataset.cpu || el.dataset.mem))].slice(0, 1000)
  if (rows.length && !(document.hidden && Date.now() - hiddenAt > 9000)) wanted.add('stats')
  const fresh = [...wanted].filter(topic => !heard.has(topic)).slice(0, 200), gone = [...heard].filter(topic => !wanted.has(topic))
  for (const topic of fresh) {
    heard.add(topic)
    if (topic === 'stats') continue // figures are only ever the newest: there is nothing to catch up with
    if (seen.has(topic)) after[topic] = seen.get(topic)
    else if (made > 0 && !topic.startsWith('operation:')) after[topic] = made
  }
  gone.forEach(topic => heard.delete(topic))
  const frame = {}, names = JSON.stringify(rows)
  if (fresh.length || first) { frame.subscribe = fresh; frame.after = after }
  if (gone.length) frame.unsubscribe = gone
  if (wanted.has('stats') && (names !== rowsSent || fresh.includes('stats'))) { frame.rows = rows; rowsSent = names }
  if (Object.keys(frame).length) send(frame)
}

function take(frame) {
  if (frame.subscribed) {
    for (const [topic, number] of Object.entries(frame.subscribed)) {
      if (!topic.startsWith('operation:') && !seen.has(topic)) seen.set(topic, Math.max(number, Number(document.body.dataset.made || 0) * 1000 - SLACK))
    }
  } else if (frame.topic === 'stats') { if (frame.rows) patch(frame.rows) } // a bell without: Redis is back
  else if (frame.events) {
    const id = frame.topic.slice('operation:'.length)
    seen.set(frame.topic, frame.seq)
    document.dispatchEvent(new CustomEvent('slipway:operation', { detail: { id, events: frame.events } }))
    // A log line changes nothing but the log, which has it already.
    if (frame.events.some(event => event.kind !== 'log')) rung(frame.topic)
  } else if (frame.topic && 'seq' in frame) {
    seen.set(frame.topic, frame.seq)
    rung(frame.topic)
  }
}

function rung(topic) {
  for (const el of $$('[data-live]')) {
    if (!el.dataset.live.split(/\s+/).includes(topic)) continue
    // A part of a list waits for the list's own bell, which follows: then it is the row that has changed.
    if (listOf(el)) rang.set(el, Date.now())
    else {
      const parts = $$('tr[data-live]', el).filter(part => Date.now() - (rang.get(part) ?? 0) < TOGETHER)
      parts.forEach(part => rang.delete(part))
      if (parts.length <= FEW) parts.forEach(part => refresh(part))
      refresh(el, parts.length > 0 && parts.length <= FEW)
    }
  }
}

const listOf = el => el.matches('tr') ? el.closest('[data-live]:not(tr)') : null

/** Once for many bells, apart from others by chance, never while hidden, never twice at the same time. What the page is
 about (in <main>) is fetched at the first bell after a quiet moment, the rest of the page a moment later; so is a list
 of which a few parts are fetched by themselves (`later`). */
function refresh(el, later = false) {
  const its = refreshes.get(el) ?? { timer: 0, times: [], dirty: false }, now = Date.now()
  refreshes.set(el, its)
  if (document.hidden) { its.dirty = true; return }
  if (its.timer) return
  its.dirty = false
  // A part is small, and often changes twice: it ended, and then it is known why. Only many times are too often.
  its.times = its.times.filter(time => now - time < 2 * APART)
  const rests = listOf(el) && its.times.length < BURST ? 0 : Math.max(0, (its.times.at(-1) ?? 0) + APART - now)
  const wait = !rests && !later && el.closest('main') ? Math.random() * AT_ONCE : Math.max(GATHER, rests) + Math.random() * GATHER
  its.timer = setTimeout(() => {
    its.timer = 0
    if (!el.isConnected) return
    if (document.hidden) { its.dirty = true; return }
    if (el.classList.contains('htmx-request')) { refresh(el); return }
    its.times.push(Date.now())
    el.dispatchEvent(new CustomEvent('changed', { bubbles: false }))
  }, wait)
}

const ago = ms => ms < 60000 ? `${Math.round(ms / 1000)} s` : ms < 3600000 ? `${Math.floor(ms / 60000)} min` : `${Math.floor(ms / 3600000)} h`

/** Says whether the page is live; a blink of the connection is not worth a word. */
function tell() {
  const away = !open && (!lostAt || Date.now() - lostAt > 1500)
  if (!open && !away) return
  const known = open || lostAt, state = open ? 'live' : known ? 'reconnecting' : 'static'
  const text = open ? tr('Live') : tr('Reconnecting, last seen {time} ago', { time: ago(Date.now() - lastWord) })
  if (state === 'static') return
  document.documentElement.toggleAttribute('data-stale', !open)
  $$('[data-live-state]').forEach(el => {
    if (el.dataset.liveState !== state) el.dataset.liveState = state
    const words = $('[data-live-text]', el) ?? el
    if (words.textContent !== text) words.textContent = text
  })
}
