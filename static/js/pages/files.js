// Files of a container or a volume: arrow keys walk the entries, Enter opens one, Delete asks to delete it, Backspace
// goes to the folder above, E edits the file in view. Uploads, and the editor, which goes on to the file when it is written.
import { $, $$, isCommand } from '../dom.js'
import { openFrom } from '../dialogs.js'
import { keepUploads } from '../uploads.js'

keepUploads()
keepEditor()

const entries = () => $$('[data-files] [data-entry]')

/** Moves by so many entries; from anywhere else to the first or the last. */
function walk(step) {
  const all = entries(), at = all.indexOf(document.activeElement)
  all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + step))]?.focus()
}

const KEYS = {
  ArrowDown: () => walk(1),
  ArrowUp: () => walk(-1),
  Home: () => entries()[0]?.focus(),
  End: () => entries().at(-1)?.focus(),
  Delete: () => { const link = $('[data-erase]', document.activeElement.closest('tr') ?? undefined); if (link && document.activeElement.matches('[data-entry]')) openFrom(link.dataset.dialogFrom) },
  e: () => $('[data-edit]')?.click(),
  Backspace: () => { const up = $('[data-files]')?.dataset.up; if (up) location.assign(up) },
}

/** Arrows and the like go on where single letters were turned off. */
const isMove = event =>
  event.key.length > 1 && !event.defaultPrevented && !event.ctrlKey && !event.metaKey && !event.altKey
  && !event.target.closest?.('input, textarea, select') && !$('dialog[open]')

document.addEventListener('keydown', event => {
  const act = (isMove(event) || isCommand(event)) && !event.shiftKey && KEYS[event.key]
  // A text that scrolls keeps its arrows.
  if (!act || document.activeElement?.matches('pre') && !['Backspace', 'e'].includes(event.key)) return
  event.preventDefault()
  act()
})

function keepEditor() {
  const form = $('form[data-then]')
  if (!form) return
  const text = $('textarea', form), first = text.value
  let wish = null, done = false
  addEventListener('beforeunload', event => { if (!done && text.value !== first) event.preventDefault() })
  document.addEventListener('slipway:toast', event => { wish = event.detail.operation })
  document.addEventListener('slipway:ended', event => {
    if (event.detail.id !== wish || event.detail.state !== 'succeeded') return
    done = true
    location.assign(form.dataset.then)
  })
  $('a.btn', form).addEventListener('click', () => { done = true })
  text.addEventListener('keydown', event => {
    if ((event.ctrlKey || event.metaKey) && event.key === 's') { event.preventDefault(); form.requestSubmit() }
  })
}
