// Dialogs: those in the page, and those that a link would open as a page of their own.
import { $, onClick } from './dom.js'
import { toast } from './toasts.js'
import { tr } from './texts.js'

/** Opens what the address answers (its part for a dialog) over this page; the address itself if that fails.
 *  Where the answer takes its time, the dialog stands there already. */
export async function openFrom(url) {
  const dialog = $('#dialog')
  const slow = setTimeout(() => { dialog.className = 'dialog confirm'; dialog.replaceChildren($('#waiting').content.cloneNode(true)); dialog.showModal() }, 150)
  try {
    const answer = await fetch(url, { headers: { 'HX-Request': 'true', 'HX-Target': 'dialog' } })
    if (answer.redirected) return location.assign(answer.url)
    const text = await answer.text()
    clearTimeout(slow)
    if (!answer.ok) { dialog.close(); return toast(sentence(text) || tr('That did not work ({status}).', { status: answer.status }), 'bad') }
    const made = new DOMParser().parseFromString(text, 'text/html').body
    dialog.className = `dialog ${made.firstElementChild?.dataset.dialogClass ?? 'confirm'}`
    dialog.replaceChildren(...made.childNodes)
  } catch { return location.assign(url) }
  htmx.process(dialog)
  if (!dialog.open) dialog.showModal()
  dialog.querySelector('[autofocus]')?.focus()
  dialog.dispatchEvent(new CustomEvent('slipway:opened', { bubbles: true }))
}
function sentence(text) { try { return JSON.parse(text).detail } catch { return '' } }

export function keepDialogs() {
  onClick('[data-dialog-from]', (link, event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    link.closest('[popover]')?.hidePopover()
    openFrom(link.dataset.dialogFrom)
  })
  // What was asked for at a click turned out to cut off others: the question first.
  document.addEventListener('slipway:ask', event => openFrom(event.detail.url))
  onClick('[data-dialog]', (button, event) => {
    event.preventDefault()
    button.closest('[popover]')?.hidePopover()
    document.getElementById(button.dataset.dialog)?.showModal()
  })
  onClick('dialog [data-close]', (button, event) => { event.preventDefault(); button.closest('dialog').close() })
  onClick('dialog', (dialog, event) => { if (event.target === dialog) dialog.close() })
  onClick('[popover] a, [popover] button[type=submit], [popover] [data-palette], [popover] [data-keys]', found =>
    found.closest('[popover]').hidePopover())
  // An accepted or refused wish comes as a toast: the dialog that asked has done its work.
  document.addEventListener('slipway:toast', event => {
    // A form that follows what it asked for closes by going on to it.
    if (event.detail.tone !== 'bad' && !$('#dialog [data-follows]')) $('#dialog')?.close()
  })
  // What is ticked decides what the button says and does.
  document.addEventListener('change', event => {
    const tick = event.target.closest?.('[data-wording]'), button = tick && $('[data-words]', tick.form)
    if (button) button.textContent = tick.checked ? tick.dataset.wording : button.dataset.words
  })
  // Typing the name opens a protected removal.
  document.addEventListener('input', event => {
    const must = event.target.dataset?.must
    if (must) $('[data-gate]', event.target.form).disabled = event.target.value !== must
  })
}
