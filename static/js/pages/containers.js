// The list of containers: selection, the row at hand with its strip and menu, folds, sums, keys. And the keys of one.
import { $, $$, isCommand, onClick } from '../dom.js'
import { openFrom } from '../dialogs.js'
import { percent, size } from '../figures.js'
import { rowAtHand } from '../rows.js'
import { tr } from '../texts.js'

const area = $('#containers')
const token = () => $('input[name=csrfmiddlewaretoken]').value

/** Asks for a change of the container with this page; the answer is a toast. */
const act = (page, action) => htmx.ajax('POST', `${page}do/${action}/`, { swap: 'none', values: { csrfmiddlewaretoken: token() } })

if (area) list()
else keysOfOne()

function list() {
  const strip = $('#strip'), menu = $('#row-menu'), folded = new Set(JSON.parse(sessionStorage.getItem('folded') ?? '[]'))
  let last = -1

  const page = row => $('.name a', row).getAttribute('href')
  const may = (row, action) => row.dataset.can.split(' ').includes(action)

  // Selection
  const boxes = () => $$('tr[data-row] .check', area)
  const sync = () => {
    const all = $('[data-all]', area), every = boxes(), n = every.filter(box => box.checked).length
    $('[data-bulk-n]').textContent = n
    if (all) { all.checked = n > 0 && n === every.length; all.indeterminate = n > 0 && n < every.length }
  }
  const clear = () => { boxes().forEach(box => { box.checked = false }); sync() }
  area.addEventListener('click', event => {
    const every = boxes(), i = every.indexOf(event.target)
    if (i < 0) return
    if (event.shiftKey && last >= 0) for (let k = Math.min(i, last); k <= Math.max(i, last); k++) every[k].checked = event.target.checked
    last = i
  })
  area.addEventListener('change', event => {
    if (event.target.matches('[data-all]')) boxes().forEach(box => { box.checked = event.target.checked && !box.closest('tr').hidden })
    sync()
  })
  // Enter on a tick would press what the bar begins with (without scripts a button that asks for nothing).
  area.addEventListener('keydown', event => { if (event.key === 'Enter' && event.target.matches('.check')) event.preventDefault() })
  onClick('[data-bulk-clear]', (button, event) => { event.preventDefault(); clear() })
  onClick('[data-bulk-ask]', (button, event) => {
    event.preventDefault()
    const ids = new URLSearchParams(boxes().filter(box => box.checked).map(box => ['ids', box.value]))
    openFrom(`${$('#bulk').getAttribute('action')}?action=${button.value}&${ids}`)
  })
  onClick('[data-bulk-logs]', button => {
    const chosen = boxes().filter(box => box.checked), one = chosen.length === 1 && chosen[0].closest('tr')
    location.assign(one ? `${page(one)}logs/` : `${button.dataset.bulkLogs}?${new URLSearchParams(chosen.map(box => ['container', box.value]))}`)
  })
  document.addEventListener('slipway:toast', event => { if (event.detail.tone !== 'bad') clear() })

  // The row at hand: one strip for all, in the cell of the owner
  const fit = (holder, row) => {
    for (const part of $$('[data-act]', holder)) part.hidden = !may(row, part.dataset.act)
    for (const part of $$('[data-ask]', holder)) part.hidden = !may(row, part.dataset.ask)
    for (const part of $$('[data-to]', holder)) part.href = page(row) + part.dataset.to
    for (const part of $$('[data-needs]', holder)) part.hidden = !may(row, part.dataset.needs)
    for (const part of $$('[data-some]', holder)) part.hidden = !$$('[data-act], [data-ask]', part).some(one => !one.hidden)
  }
  const toRow = row => {
    if (!row || strip.closest('tr') === row) return
    fit(strip, row)
    const name = row.dataset.name
    for (const part of $$('[aria-label]', strip)) part.setAttribute('aria-label', `${part.title.split('  ')[0]}: ${name}`)
    $('.c-own', row).insertBefore(strip, $('.row-more', row))
    strip.hidden = false
  }
  area.addEventListener('pointerover', event => { if (event.pointerType === 'mouse') toRow(event.target.closest('tr[data-row]')) })
  area.addEventListener('focusin', event => toRow(event.target.closest('tr[data-row]')))
  const rowOf = el => el.closest('tr[data-row]') ?? document.getElementById(menu.dataset.for)
  const openMenu = (row, button) => {
    fit(menu, row)
    menu.dataset.for = row.id
    menu.setAttribute('aria-label', tr('More for {name}', { name: row.dataset.name }))
    menu.showPopover({ source: button })
    $('a, button', menu).focus({ preventScroll: true })
  }
  onClick('[data-row-more]', (button, event) => {
    if (event.ctrlKey || event.metaKey) return
    event.preventDefault()
    const open = menu.matches(':popover-open') && menu.dataset.for === button.closest('tr').id
    if (open) menu.hidePopover(); else openMenu(button.closest('tr'), button)
  })
  onClick('#row-menu [data-act], #strip [data-act]', button => {
    if (menu.matches(':popover-open')) menu.hidePopover()
    act(page(rowOf(button)), button.dataset.act)
  })
  onClick('#row-menu :is([data-ask], [data-open])', button => { menu.hidePopover(); openFrom(`${page(rowOf(button))}${button.dataset.ask ?? button.dataset.open}/`) })
  menu.addEventListener('keydown', event => {
    const items = $$('a, button', menu).filter(item => !item.hidden && !item.parentElement.hidden)
    const at = items.indexOf(document.activeElement), step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (!step) return
    event.preventDefault()
    items[(at + step + items.length) % items.length].focus()
  })

  // Folds
  const fold = (body, closed) => {
    const button = $('.fold', body)
    if (!button) return
    button.setAttribute('aria-expanded', !closed)
    for (const row of $$('tr[data-row]', body)) row.hidden = closed
  }
  onClick('.fold', button => {
    const body = button.closest('tbody'), closed = button.getAttribute('aria-expanded') === 'true'
    if (closed) folded.add(body.dataset.group); else folded.delete(body.dataset.group)
    sessionStorage.setItem('folded', JSON.stringify([...folded]))
    fold(body, closed)
  })
  const refold = () => $$('tbody[data-group]', area).forEach(body => fold(body, folded.has(body.dataset.group)))

  // What letters do with the row of the keyboard
  document.addEventListener('keydown', event => {
    if (!isCommand(event) || menu.matches(':popover-open')) return
    const row = rowAtHand(), key = event.key.toLowerCase()
    if (key === 'escape') return clear()
    if (!row) return
    if (key === 'l') location.assign(`${page(row)}logs/`)
    else if (key === 's' && may(row, 'console')) location.assign(`${page(row)}console/`)
    else if (key === 'r' && may(row, 'restart')) act(page(row), 'restart')
    else if (key === '.') openMenu(row, $('[data-row-more]', row))
    else return
    event.preventDefault()
  })

  // A row whose container has changed is fetched by itself: the list comes a moment later, and is often long
  area.addEventListener('changed', event => {
    if (event.target.matches('tr[data-row]')) htmx.ajax('GET', `${page(event.target)}row/`, { source: event.target, target: event.target, swap: 'morph:outerHTML' })
  }, true)

  // Fresh rows: what belongs to this page and not to the server is put back
  const isOurs = el => el === area || area.contains(el)
  document.addEventListener('htmx:beforeSwap', event => {
    if (isOurs(event.detail.target) && event.detail.target.contains(strip)) { document.body.append(strip); strip.hidden = true }
  })
  document.addEventListener('htmx:afterSettle', event => {
    if (!isOurs(event.detail.target)) return
    refold()
    sync()
    toRow($('tr[data-row]:hover', area) ?? document.activeElement?.closest?.('tr[data-row]'))
  })

  // Sums of a stack follow the figures of its rows
  const latest = new Map()
  document.addEventListener('slipway:figures', event => {
    for (const [id, cores, bytes] of event.detail.rows) latest.set(id, [cores ?? 0, bytes])
    for (const body of $$('tbody[data-group]', area)) {
      const known = $$('tr[data-row]', body).filter(row => $('[data-cpu]', row)).map(row => latest.get(row.dataset.row)).filter(Boolean)
      const cpu = $('[data-cpu-sum]', body), mem = $('[data-mem-sum]', body)
      if (!cpu || !known.length) continue
      cpu.textContent = `${percent(known.reduce((sum, [cores]) => sum + cores, 0))} %`
      mem.textContent = size(known.reduce((sum, [, bytes]) => sum + bytes, 0))
    }
  })
  refold()
  sync()
}

/** On the page of one container a letter presses what carries it. */
function keysOfOne() {
  document.addEventListener('keydown', event => {
    if (!isCommand(event)) return
    const target = $(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`)
    if (target) { event.preventDefault(); target.click() }
  })
}
