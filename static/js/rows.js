// Every list by keyboard: J and K move, Enter opens, X ticks or goes to what can be done, Escape lets go.
// The row at hand has the class `at`; pages add their own letters for it.
import { $, $$, isCommand } from './dom.js'

const LIST = 'table.grid:not([data-no-keys])', LINK = 'th[scope=row] a[href]'

/** The row of the keyboard, if there is one. */
export const rowAtHand = () => $(`${LIST} tr.at`)

export function keepRows() {
  let current = null
  const rows = () => $$(`${LIST} tbody tr[id]`).filter(row => !row.hidden && $(LINK, row))
  const mark = id => {
    current = id
    for (const row of $$(`${LIST} tr.at`)) if (row.id !== id) row.classList.remove('at')
    if (id) document.getElementById(id)?.classList.add('at')
  }
  const go = step => {
    const every = rows(), at = every.findIndex(row => row.id === current)
    const row = every[Math.max(0, Math.min(every.length - 1, at < 0 ? 0 : at + step))]
    if (!row) return false
    mark(row.id)
    $(LINK, row).focus({ preventScroll: true })
    row.scrollIntoView({ block: 'nearest' })
    return true
  }
  const tick = row => {
    const box = $('.check', row)
    if (box) { box.checked = !box.checked; box.dispatchEvent(new Event('change', { bubbles: true })) }
    else $('td:last-child button, td:last-child a[href]', row)?.focus()
  }
  document.addEventListener('focusin', event => {
    const row = event.target.closest?.(`${LIST} tbody tr[id]`)
    if (row && $(LINK, row)) mark(row.id)
  })
  document.addEventListener('htmx:afterSettle', () => { if (current) mark(current) })
  document.addEventListener('keydown', event => {
    if (!isCommand(event) || $(':popover-open[role=menu]')) return
    const key = event.key.toLowerCase(), row = rowAtHand()
    if (key === 'j' || key === 'k') { if (!go(key === 'j' ? 1 : -1)) return }
    else if (key === 'escape') return mark(null)
    else if (row && key === 'x') tick(row)
    else if (row && key === 'enter' && !document.activeElement?.closest('a, button, input')) $(LINK, row).click()
    else return
    event.preventDefault()
  })
}
