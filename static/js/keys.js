// Single letters: places to go, the filter, help. Those of one page stand in its own script.
import { $, isCommand, onClick } from './dom.js'

const PLACES = { c: 'containers', i: 'images', b: 'builds', v: 'volumes', n: 'networks', o: 'operations', s: 'stacks', e: 'events' }

/** Ctrl and Enter, from anywhere in a form or an open dialog, is its one primary button; in a part of a form that is sent
 by itself (`data-sends`) it is that part's. */
function send(event) {
  if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey) || event.defaultPrevented) return
  const part = event.target.closest?.('[data-sends]'), form = event.target.form ?? $('dialog[open] form')
  const button = part ? $('[type=submit]', part) : form && $('.btn.primary[type=submit]:not([disabled]), .btn.solid[type=submit]:not([disabled])', form)
  if (!button) return
  event.preventDefault()
  button.click()
}

export function keepKeys() {
  document.addEventListener('keydown', send)
  const help = $('#keys'), letters = $('[data-letters]')
  if (letters) {
    letters.checked = localStorage.getItem('letters') !== 'off'
    letters.addEventListener('change', () => localStorage.setItem('letters', letters.checked ? 'on' : 'off'))
  }
  onClick('[data-keys]', () => help?.showModal())
  let going = 0
  document.addEventListener('keydown', event => {
    if (!isCommand(event)) return
    const key = event.key.toLowerCase(), gone = Date.now() - going < 1200
    going = 0
    if (gone && PLACES[key]) { event.preventDefault(); $(`#po-${PLACES[key]}`)?.click(); event.stopImmediatePropagation() }
    else if (gone && key === 't') { event.preventDefault(); $('#tray:not([hidden]) summary')?.focus(); event.stopImmediatePropagation() }
    else if (key === 'g') going = Date.now()
    else if (key === '?') help?.showModal()
    else if (key === '/') { const field = $('.search input'); if (field) { event.preventDefault(); field.focus(); field.select() } }
    else if (key === 'c') ($('.bar-top [data-run]') ?? $('#po-run'))?.click()
  })
}
