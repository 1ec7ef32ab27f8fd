// Follows one operation: appends its log lines as text, keeps the reader's place, never more lines than it can bear.
// Events are {seq, kind: "state" | "progress" | "step" | "log", at, data}, in order and without gaps.
import { plural, tr } from './texts.js'

const MOST = 2000
const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])/g
const STEP = /^Step (\d{1,4})\/\d{1,4} : /
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f]/g

/** A line of output without colour codes, as the end of its last overwriting. */
export const plain = text => text.replace(ESCAPES, '').replace(/[\r\n]+$/, '').split('\r').pop().replace(CONTROLS, '')

const STORY = { queued: tr('Accepted'), running: tr('Started'), unknown: tr('No answer, looking at the engine'), succeeded: tr('Done'), failed: tr('Failed'), cancelled: tr('Cancelled') }

/** A change of state in words, as operations/present.py says it. */
function story({ state, cancel, message, attempt = 1 }) {
  if (cancel) return tr('{who} asked to cancel', { who: cancel })
  const words = (STORY[state] ?? state) + (state === 'running' && attempt > 1 ? `, ${tr('attempt {n}', { n: attempt })}` : '')
  return message ? `${words}: ${message}` : words
}

/** The state an operation ended in, if these events say so: succeeded, failed, cancelled; else null. */
export const ending = events => events.filter(e => e.kind === 'state' && ['succeeded', 'failed', 'cancelled'].includes(e.data.state)).at(-1)?.data ?? null

const pad = n => String(n).padStart(2, '0')

/** Seconds as 0:48 or 1:02:03; `short`: 48 s while they are few. */
function length(s, short) {
  if (short && s < 100) return `${s} s`
  const minutes = Math.floor(s / 60)
  return minutes < 60 ? `${minutes}:${pad(s % 60)}` : `${Math.floor(minutes / 60)}:${pad(minutes % 60)}:${pad(s % 60)}`
}

/** Ticks every [data-since] in the page once a second. A reader's clock that is wrong is put right by the server's. */
export function clocks() {
  const made = Number(document.body.dataset.made) * 1000, off = made ? performance.timeOrigin - made : 0
  const skew = Math.abs(off) > 5000 ? off : 0
  setInterval(() => {
    if (document.hidden) return
    for (const el of document.querySelectorAll('[data-since]')) {
      const text = length(Math.max(0, Math.floor((Date.now() - skew - Date.parse(el.dataset.since)) / 1000)), 'seconds' in el.dataset)
      if (el.textContent !== text) el.textContent = text
    }
  }, 1000)
}

/** Keeps `log` (an element made by operations/_log.html, or in `parts` by builds/_log.html) up to date. */
export function follow(log, parts = null) {
  const { operation, events: url } = log.dataset
  let started = Date.parse(log.dataset.started)
  const jump = document.querySelector('[data-log-jump]'), button = document.querySelector('[data-log-follow]')
  let seq = Number(log.dataset.seq), step = Number([...log.querySelectorAll('.bn')].findLast(el => el.textContent)?.textContent.slice(1)) || 0
  let following = true, fresh = 0, fetching = null, ownScroll = false

  const toEnd = () => { ownScroll = true; log.scrollTop = log.scrollHeight }
  const show = () => {
    button?.setAttribute('aria-pressed', following)
    if (jump) { jump.hidden = following || !fresh; jump.querySelector('span').textContent = plural(fresh, '{n} new line', '{n} new lines') }
  }
  const resume = () => { following = true; fresh = 0; toEnd(); show() }
  log.addEventListener('scroll', () => {
    if (ownScroll) { ownScroll = false; return }
    following = log.scrollHeight - log.scrollTop - log.clientHeight < 24
    if (following) fresh = 0
    show()
  }, { passive: true })
  jump?.addEventListener('click', resume)
  button?.addEventListener('click', () => { if (following) { following = false; show() } else resume() })

  const line = event => {
    const own = event.kind === 'state', text = own ? story(event.data) : plain(String(event.data.text ?? '')) || ' '
    step = (own ? 0 : Number.isInteger(event.data.step) ? event.data.step : Number(text.match(STEP)?.[1])) || step
    const row = document.createElement('div'), first = !own && step && !document.getElementById(`step-${step}`)
    row.className = own ? 'ln own-ln' : event.data.stream === 2 ? 'ln se' : 'ln'
    row.id = first && !parts ? `step-${step}` : `line-${event.seq}`
    const at = started ? Math.max(0, (Date.parse(event.at) - started) / 1000).toFixed(1) : ''
    const cells = [['span', 'bn num', step && !own ? `#${step}` : ''], ['time', '', at], ['span', 'msg', text]]
    for (const [tag, name, words] of cells) {
      const el = document.createElement(tag)
      if (name) el.className = name
      el.textContent = words
      row.append(el)
    }
    return row
  }
  const take = events => {
    const rows = []
    for (const event of events) {
      if (event.seq <= seq) continue
      seq = event.seq
      if (event.kind === 'state' && event.data.state === 'running') started ||= Date.parse(event.at)
      if (event.kind === 'step') step = Number.isInteger(event.data.step) ? event.data.step : Number.isInteger(event.data.n) ? event.data.n : step
      if (event.kind === 'step') parts?.told(event.data)
      if (event.kind !== 'log' && event.kind !== 'state') continue
      const row = line(event)
      rows.push(row)
      if (parts) parts.put(row, event.kind === 'log' ? step : 0, row.lastElementChild.textContent)
    }
    if (ending(events) && button) button.hidden = true
    if (!rows.length) return
    if (!parts) log.append(...rows)
    const shown = log.getElementsByClassName('ln')
    for (let over = shown.length - MOST; over > 0; over--) shown[0].remove()
    if (following) toEnd(); else fresh += rows.length
    show()
  }
  const catchUp = () => fetching ??= (async () => {
    try {
      for (let more = true; more;) {
        const answer = await fetch(`${url}?after=${seq}`, { headers: { Accept: 'application/json' } })
        if (!answer.ok) return
        const { events } = await answer.json(), before = seq
        take(events); more = events.length > 0 && seq > before
      }
    } catch { /* offline: the next event or reconnect tries again */ } finally { fetching = null }
  })()
  document.addEventListener('slipway:operation', e => {
    if (e.detail.id !== operation) return
    const { events } = e.detail
    if (!events?.length || events[0].seq > seq + 1) catchUp(); else take(events)
  })
  if ('liveLog' in log.dataset) { if (button) button.hidden = false; catchUp() }
  const hash = location.hash && document.getElementById(location.hash.slice(1))
  if (hash && log.contains(hash)) following = false; else if ('liveLog' in log.dataset) toEnd()
}
