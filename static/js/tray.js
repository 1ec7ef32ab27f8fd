// The tray: what its reader has on the way, on every page. The server makes it; here its bars move, what has ended
// leaves after a while, and nothing is said that the page or a toast says already.
//
// A toast acknowledges and turns into the result of what is quick. What takes longer, or fails, it hands over.
import { $, $$ } from './dom.js'
import { clocks } from './operation.js'
import { tr } from './texts.js'

const STAYS = 6000
const over = new Set(JSON.parse(sessionStorage.getItem('told') ?? '[]')) // ids that have been told, here or by a toast, on this page or the one before
const leaving = new Set() // ids whose time is running
const phases = new Map() // id → running, queued, failed, done: as it was at the last look
const WORDS = [['failed', tr('failed')], ['running', tr('running')], ['queued', tr('waiting')], ['done', tr('done')]]

/** Nothing is to be said of it any more. */
function tellNoMore(id) {
  if (over.has(id)) return
  over.add(id)
  sessionStorage.setItem('told', JSON.stringify([...over].slice(-50)))
}
const rowOf = id => $(`#tray [data-tray="${id}"]`)
const shownByPage = id => Boolean($(`main [data-operation="${id}"], main #op-${CSS.escape(id)}`))

/** Toasts let go of what stands here now: what takes long, and what has failed. */
function takeOver() {
  for (const toast of $$('.toast[data-for]')) {
    const id = toast.dataset.for, row = rowOf(id)
    const late = 'late' in toast.dataset && toast.dataset.tone === 'busy' && (row || shownByPage(id))
    if (late || (row && toast.dataset.tone === 'bad' && $('#tray-in')?.open && !shownByPage(id))) toast.remove()
    else if (toast.dataset.tone === 'ok') tellNoMore(id)
  }
}

/** Shows what is to be shown of what the server has sent. */
function settle() {
  const tray = $('#tray')
  if (!tray) return
  takeOver()
  for (const row of $$('[data-tray]', tray)) {
    const { tray: id, phase } = row.dataset, before = phases.get(id)
    row.hidden = over.has(id) || shownByPage(id) || Boolean($(`.toast[data-for="${id}"]`))
    if (!row.hidden && before && before !== phase && (phase === 'done' || phase === 'failed')) say(`${row.dataset.title}: ${row.dataset.says}`)
    if (!row.hidden && phase === 'done') leave(id)
    phases.set(id, phase)
  }
  count(tray)
}

function count(tray) {
  const shown = $$('[data-tray]', tray).filter(row => !row.hidden)
  const numbers = WORDS.map(([phase, word]) => [phase, word, shown.filter(row => row.dataset.phase === phase).length]).filter(([, , n]) => n)
  const text = numbers.map(([, word, n]) => `${n} ${word}`).join(', '), words = $('[data-tray-words]', tray)
  if (words && words.textContent !== text) words.textContent = text
  tray.dataset.worst = numbers[0]?.[0] ?? ''
  if (tray.hidden === !shown.length) return
  // A focus in what goes is not lost: from the page one can go on.
  if (!shown.length && tray.contains(document.activeElement)) $('main').focus({ preventScroll: true })
  tray.hidden = !shown.length
}

/** What has ended well goes by itself, unless somebody is at it. */
function leave(id) {
  if (leaving.has(id)) return
  leaving.add(id)
  setTimeout(() => {
    leaving.delete(id)
    const row = rowOf(id)
    if (!row) return
    if (document.hidden || row.matches(':hover, :has(:focus-visible)')) return leave(id)
    const at = row.contains(document.activeElement)
    tellNoMore(id)
    settle()
    if (at) $('#tray:not([hidden]) summary')?.focus({ preventScroll: true })
  }, STAYS)
}

const say = text => { const said = $('#tray-said'); if (said) said.textContent = text }

/** A bar as its operation tells: where a total is known so much of it, else it only moves. */
function advance(row, { current, total, unit, message }) {
  const prog = $('.prog', row), small = $('small', row)
  if (small && message) small.textContent = message
  if (!prog || !total || current === undefined || current === null) return
  const pct = Math.max(0, Math.min(100, Math.floor(100 * current / total)))
  const label = ['steps', 'layers'].includes(unit) ? tr('{part} of {all}', { part: current, all: total }) : `${pct} %`, num = $('.num', prog)
  $('.bar', prog).classList.remove('moving')
  $('.v', prog).setAttribute('width', `${pct}%`)
  delete num.dataset.since
  num.textContent = label
  for (const [name, value] of [['valuenow', pct], ['valuemin', 0], ['valuemax', 100], ['valuetext', label]]) prog.setAttribute(`aria-${name}`, value)
}

/** Where the button that had the focus was taken away, the tray has it: its row is about to go. */
function keepFocus() {
  let held = false
  document.addEventListener('htmx:beforeSwap', event => { if (event.detail.target?.id === 'tray') held = event.detail.target.contains(document.activeElement) })
  return () => {
    if (held && (document.activeElement === document.body || !document.activeElement)) $('#tray:not([hidden]) summary')?.focus({ preventScroll: true })
    held = false
  }
}

export function keepTray() {
  if (!$('#tray')) return
  clocks()
  const refocus = keepFocus()
  document.addEventListener('htmx:configRequest', event => {
    if (event.detail.elt.id !== 'tray') return
    const known = [...phases.keys()].filter(id => !over.has(id))
    if (known.length) event.detail.parameters.also = known.slice(-20).join(',')
  })
  document.addEventListener('htmx:afterSwap', event => { settle(); if (event.detail.target?.id === 'tray') refocus() })
  document.addEventListener('slipway:late', settle)
  document.addEventListener('slipway:told', event => { tellNoMore(event.detail.id); settle() })
  document.addEventListener('slipway:operation', event => {
    const row = rowOf(event.detail.id), far = event.detail.events?.findLast(one => one.kind === 'progress')
    if (row && far) advance(row, far.data)
  })
  // Dismissed, or asked for again: dealt with.
  document.addEventListener('htmx:afterRequest', event => {
    const form = event.detail.elt
    if (!event.detail.successful || !form.closest?.('#tray')) return
    const ids = 'dismisses' in form.dataset ? $$('[name=id]', form).map(field => field.value)
      : form.dataset.retries && event.detail.xhr.getResponseHeader('HX-Trigger')?.includes('"busy"') ? [form.dataset.retries] : []
    ids.forEach(tellNoMore)
    if (ids.length) { const at = form.contains(document.activeElement); settle(); if (at) $('#tray:not([hidden]) summary')?.focus({ preventScroll: true }) }
  })
  // Folded or not is remembered where the server reads it: the next page comes as this one was left.
  document.addEventListener('toggle', event => {
    if (event.target.id !== 'tray-in') return
    document.cookie = `tray=${event.target.open ? 'open' : 'pill'}; path=/; max-age=31536000; samesite=lax`
    settle()
  }, true)
  settle()
}
