// The list of operations with its keys, and the page of one.
import { $, $$, isCommand } from '../dom.js'
import { follow } from '../operation.js'

const log = $('#log'), list = $('#operations')
if (log) follow(log)
if (list) keys()

/** J and K move, Enter opens, X goes to what can be done with it, Escape lets go. */
function keys() {
  let current = null
  const mark = id => {
    current = id
    for (const row of $$('tr.at', list)) row.classList.remove('at')
    if (id) document.getElementById(id)?.classList.add('at')
  }
  const go = step => {
    const every = $$('tr[data-row]', list), at = every.findIndex(row => row.id === current)
    const row = every[Math.max(0, Math.min(every.length - 1, at < 0 ? 0 : at + step))]
    if (!row) return
    mark(row.id)
    $('a', row).focus({ preventScroll: true })
    row.scrollIntoView({ block: 'nearest' })
  }
  document.addEventListener('focusin', event => { const row = event.target.closest?.('#operations tr[data-row]'); if (row) mark(row.id) })
  document.addEventListener('htmx:afterSettle', () => { if (current) mark(current) })
  document.addEventListener('keydown', event => {
    if (!isCommand(event)) return
    const row = document.getElementById(current), key = event.key.toLowerCase()
    if (key === 'j' || key === 'k') go(key === 'j' ? 1 : -1)
    else if (key === 'escape') return mark(null)
    else if (row && key === 'x') $('.o-act button', row)?.focus()
    else if (row && key === 'enter' && !document.activeElement?.closest('tr')) location.assign(row.dataset.row)
    else return
    if (key !== 'enter') event.preventDefault()
  })
}
