// Every list by keyboard: J and K move, Enter opens, X ticks or goes to what can be done, N and P turn pages, Escape lets go.
// The row at hand has the class `at`; pages add their own letters for it.
import { $, $$, isCommand } from './dom.js'

const LIST = 'table.grid:not([data-no-keys])', LINK = 'th[scope=row] a[href]'

/** The row of the keyboard, if there is one. */
export const rowAtHand = () => $(`${LIST} tr.at`)

export function keepRows() {
  let current = '' // the address that the row at hand leads to: it stays the same when the list is made anew
  const rows = () => $$(`${LIST} tbody tr`).filter(row => !row.hidden && $(LINK, row))
  const mark = row => {
    current = row ? $(LINK, row).getAttribute('href') : ''
    for (const other of $$(`${LIST} tr.at`)) if (other !== row) other.classList.remove('at')
    row?.classList.add('at')
  }
  const go = step => {
    const every = rows(), at = every.indexOf(rowAtHand())
    const row = every[Math.max(0, Math.min(every.length - 1, at < 0 ? 0 : at + step))]
    if (!row) return false
    mark(row)
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
    const row = event.target.closest?.(`${LIST} tbody tr`)
    if (row && $(LINK, row)) mark(row)
  })
  // At once, not when it has settled: a key that is pressed in between would find no row at hand.
  document.addEventListener('htmx:afterSwap', () => {
    const row = current && rows().find(one => $(LINK, one).getAttribute('href') === current)
    if (row) mark(row)
  })
  document.addEventListener('keydown', event => {
    if (!isCommand(event) || $(':popover-open[role=menu]')) return
    const key = event.key.toLowerCase(), row = rowAtHand()
    if (key === 'j' || key === 'k') { if (!go(key === 'j' ? 1 : -1)) return }
    else if (key === 'n' || key === 'p') { const link = $(`.pager a[rel=${key === 'n' ? 'next' : 'prev'}]`); if (!link) return; link.click() }
    else if (key === 'escape') return mark(null)
    else if (row && key === 'x') tick(row)
    else if (row && key === 'enter' && !document.activeElement?.closest('a, button, input')) $(LINK, row).click()
    else return
    event.preventDefault()
  })
}
