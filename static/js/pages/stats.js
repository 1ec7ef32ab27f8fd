// The page of a container's figures: draws what the server sent, and goes on with each reading as it comes.
import { $, $$ } from '../dom.js'
import { percent, size } from '../figures.js'
import { moment, plot, rate } from '../plots.js'
import { tr } from '../texts.js'

const FIELDS = ['cpu', 'memory', 'net_rx', 'net_tx', 'blk_read', 'blk_write', 'pids']
const WAITS = [300, 1000, 2500, 5000, 10000], JOINED = 75
const area = $('#stats')
let data = null, plots = [], gathering = null, newest = null, skew = 0
let socket = null, failures = 0, ended = false, pointed = null

function read() {
  const found = $('#stats-data', area)
  data = found ? JSON.parse(found.dataset.figures) : null
  gathering = newest = null
  if (!data) return
  skew = data.now - Date.now() / 1000
  ended = !data.live
}

const now = () => Date.now() / 1000 + skew
const shown = () => [now() - data.seconds, now()]

function draw() {
  plots.splice(0).forEach(one => one.end())
  if (!data) return
  for (const figure of $$('[data-chart]', area)) plots.push(plot($('.plot', figure), figure.dataset.chart, data, { window: shown, hover }))
  heads()
}

/** All plots call with the same point, one after the other: the words change once. */
function hover(index) {
  const at = index ?? null
  if (at === pointed) return
  pointed = at
  heads()
}

/** The numbers above the plots: of the point under the cursor, else of now. */
function heads() {
  const of = field => pointed === null ? newest?.[field] ?? (data.live && !ended ? last(field) : null) : data[field][pointed] ?? null
  const most = field => (data[`${field}_max`] ?? data[field]).reduce((top, value) => value !== null && value > top ? value : top, 0)
  const when = pointed === null ? '' : moment(data.t[pointed], data.seconds), known = data.t.length > 0
  const say = (name, value, sub) => {
    const figure = $(`[data-chart="${name}"]`, area)
    if (!figure) return
    $('[data-now]', figure).textContent = value
    $('[data-sub]', figure).textContent = when ? `${sub}, ${when}` : sub
  }
  const none = (value, words) => value === null || value === undefined ? '–' : words(value)
  const cpu = of('cpu'), memory = of('memory'), rx = of('net_rx'), tx = of('net_tx'), written = of('blk_write'), had = of('blk_read')
  const { cpuLimit, memoryLimit } = data
  say('cpu', none(cpu, v => `${percent(v)} %`), [tr('of one core'), cpuLimit ? tr('limit {size}', { size: `${percent(cpuLimit)} %` }) : tr('no limit'), known && !when && tr('peak {size}', { size: percent(most('cpu')) })].filter(Boolean).join(', '))
  const part = !memoryLimit ? tr('no limit') : memory === null ? tr('of {size}', { size: size(memoryLimit) }) : tr('{part} % of {size}', { part: Math.round(100 * memory / memoryLimit), size: size(memoryLimit) })
  say('memory', none(memory, size), [part, known && !when && tr('peak {size}', { size: size(most('memory')) })].filter(Boolean).join(', '))
  say('net', none(rx, v => rate(v + (tx ?? 0))), tr('in {rx}, out {tx}', { rx: none(rx, rate), tx: none(tx, rate) }))
  say('disk', none(written, v => rate(v + (had ?? 0))), tr('write {written}, read {read}', { written: none(written, rate), read: none(had, rate) }))
}

function last(field) {
  for (let i = data.t.length - 1; i >= 0; i--) if (data[field][i] !== null) return data[field][i]
  return null
}

// --- What comes live -----------------------------------------------------------------------------------

function push(at, average, most) {
  data.t.push(at)
  FIELDS.forEach((field, i) => {
    data[field].push(average?.[i] ?? null)
    data[`${field}_max`]?.push(most?.[i] ?? null)
  })
  while (data.t.length && data.t[0] < now() - data.seconds - (data.step || 5)) {
    data.t.shift()
    for (const field of FIELDS) { data[field].shift(); data[`${field}_max`]?.shift() }
  }
}

/** A reading: a point of its own, or a part of the slot that is not over. */
function take(at, values) {
  const end = data.t.length - 1, before = data.t[end]
  if (before !== undefined && at <= before && !data.step) return
  if (before !== undefined && at - before > Math.max(JOINED, 2.5 * data.step)) push(before + 1, null, null)
  if (!data.step) { push(at, values, values); return }
  const slot = Math.floor(at / data.step) * data.step
  if (gathering?.at !== slot) {
    // What the server already knows of this slot counts as one reading.
    const known = data.t[data.t.length - 1] === slot
    gathering = { at: slot, sums: FIELDS.map(f => known ? data[f].at(-1) ?? 0 : 0), counts: FIELDS.map(f => known && data[f].at(-1) !== null ? 1 : 0), most: FIELDS.map(f => known ? data[`${f}_max`].at(-1) : null) }
    if (!known) push(slot, null, null)
  }
  values.forEach((value, i) => {
    if (value === null) return
    gathering.sums[i] += value
    gathering.counts[i]++
    gathering.most[i] = Math.max(gathering.most[i] ?? value, value)
  })
  const at_ = data.t.length - 1
  FIELDS.forEach((field, i) => {
    data[field][at_] = gathering.counts[i] ? gathering.sums[i] / gathering.counts[i] : null
    data[`${field}_max`][at_] = gathering.most[i]
  })
}

function redraw() {
  if (document.hidden) return
  plots.forEach(one => one.redraw())
  heads()
}

function tell(state, words) {
  const live = $('#stats-live')
  if (!live) return
  live.hidden = false
  live.dataset.state = state
  $('[data-words]', live).textContent = words
}

function heard(frame) {
  if (frame.type === 'ended') {
    ended = true
    newest = gathering = null
    if (data.t.length) push(frame.time_ms / 1000, null, null)
    tell('still', tr('Does not run'))
  } else if (frame.type === 'stats') {
    ended = false
    newest = frame
    skew = frame.time_ms / 1000 - Date.now() / 1000
    take(frame.time_ms / 1000, FIELDS.map(field => frame[field]))
    tell('live', tr('Every 2 s'))
  } else return
  redraw()
}

function connect() {
  if (socket || document.hidden) return
  const it = socket = new WebSocket(`${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/ws/stats/?container=${data.container}`)
  it.onopen = () => { failures = 0; tell('still', ended ? tr('Does not run') : tr('Waiting for the next reading')) }
  it.onmessage = event => heard(JSON.parse(event.data))
  it.onclose = event => {
    socket = null
    if (event.code === 4401 || event.code === 4408) { location.reload(); return }
    if (event.code >= 4403 && event.code <= 4410) { tell('still', tr('Removed')); return }
    if (document.hidden) return
    tell('away', tr('Reconnecting'))
    setTimeout(connect, WAITS[Math.min(failures++, WAITS.length - 1)] * (0.7 + Math.random() * 0.6))
  }
}

if (area && window.uPlot) {
  read()
  // In the page's own letters, but not later because of them.
  await Promise.race([document.fonts.load('11px Geist').catch(() => {}), new Promise(go => setTimeout(go, 400))])
  draw()
  connect()
  new ResizeObserver(() => plots.forEach(one => one.resize())).observe(area)
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ['data-theme'] })
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
  // A fresh copy has more than was heard here: what happened meanwhile, and the state.
  document.addEventListener('htmx:afterSettle', event => { if (event.detail.target === area) { pointed = null; read(); draw(); if (data) connect() } })
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) { setTimeout(() => { if (document.hidden) socket?.close() }, 10000); return }
    if (!data) return
    // Slept through some of it: the server knows.
    if (!socket) area.dispatchEvent(new CustomEvent('changed', { bubbles: false }))
    redraw()
  })
  addEventListener('pagehide', () => socket?.close())
}
