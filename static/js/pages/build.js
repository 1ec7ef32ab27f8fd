// The build form (editor, hints, files, arguments) and the page of one build (steps, log).
import { keepContext } from '../context.js'
import { editor } from '../editor.js'
import { follow } from '../operation.js'
import { sections } from '../steplog.js'
import { plural } from '../texts.js'

const $ = (s, r = document) => r.querySelector(s)
const root = $('[data-editor]'), form = $('.build-form')
if (form) keepContext(form)

if (root) {
  const { area, paint, replaceLine } = editor(root)
  document.addEventListener('htmx:afterSwap', e => { if (e.target.id === 'hints') paint() })
  document.addEventListener('click', e => {
    const fix = e.target.closest('[data-fix-line]')
    if (fix) { replaceLine(Number(fix.dataset.fixLine), fix.dataset.fix); area.dispatchEvent(new Event('hints')) }
  })
  const files = $('#beside')
  files?.addEventListener('change', () => {
    $('[data-has-files]').value = files.files.length ? '1' : '0'
    area.dispatchEvent(new Event('hints'))
  })
}

// Build arguments and secrets: rows of three cells, name, value, remove
for (const rows of document.querySelectorAll('[data-rows]')) {
  const add = rows.parentElement.querySelector('[data-row-add]')
  const cells = () => [...rows.children]
  const show = () => rows.querySelectorAll('[data-row-remove]').forEach(b => { b.hidden = false })
  const spare = cells().slice(-3).map(el => el.cloneNode(true))
  add.hidden = false
  show()
  add.addEventListener('click', () => {
    rows.append(...spare.map(el => el.cloneNode(true)))
    show()
    cells().at(-3).querySelector('input').focus()
  })
  rows.addEventListener('click', e => {
    const at = cells().indexOf(e.target.closest('[data-row-remove]'))
    if (at >= 0) cells().slice(at - 2, at + 1).forEach(el => el.remove())
  })
}

const log = $('#log')
if (log) {
  const parts = 'sections' in log.dataset ? sections(log) : null, find = $('[data-log-find]'), count = $('[data-log-hits]')
  follow(log, parts)
  find?.addEventListener('input', () => {
    const hits = parts.find(find.value)
    count.textContent = find.value.trim() ? plural(hits, '{n} line', '{n} lines') : ''
  })
  // A step leads to what it said
  document.addEventListener('click', e => {
    const link = e.target.closest('.st a[href^="#step-"]'), part = link && document.getElementById(link.hash.slice(1))
    if (link) e.preventDefault()
    if (!part) return
    part.open = true
    part.scrollIntoView({ block: 'start' })
  })
}

// Where it failed is in view
const failed = $('#hints [data-failed]')
if (failed && root) root.querySelector('textarea').scrollTop = (Number(failed.dataset.line) - 6) * 20
