// One sentence that goes by itself. That of a running operation turns into its result, where that comes soon; else the
// tray takes over (tray.js), which also keeps what has failed.
import { named } from './ansi.js'
import { $, $$, onClick } from './dom.js'
import { ending } from './operation.js'
import { tr } from './texts.js'

const STAYS = 4000, UNDO_STAYS = 12000, NO_ID = '00000000-0000-0000-0000-000000000000'
function tell(toast, tone, text, more = '') {
  toast.dataset.tone = tone
  $('b', toast).textContent = named(text)
  $('small', toast).textContent = named(more)
  clearTimeout(toast.timer)
  if (tone === 'ok' || (tone === 'busy' && !toast.dataset.for)) leave(toast)
}
function leave(toast) {
  toast.timer = setTimeout(() => toast.matches(':hover, :focus-within') ? leave(toast) : toast.remove(), 'undo' in toast.dataset ? UNDO_STAYS : STAYS)
}

/** What was removed can be taken back from here for a while, and from the trash for longer. */
function offerUndo(toast, id) {
  const form = $('[data-undo]', toast)
  toast.dataset.undo = id
  form.action = form.dataset.to.replace(NO_ID, id)
  form.setAttribute('hx-post', form.action)
  form.hidden = false
  $('a', toast).hidden = true
  htmx.process(form)
  form.addEventListener('htmx:afterRequest', () => toast.remove())
}

/** Above everything: a dialog that was opened later would else cover it. */
function raise() {
  const box = $('#toasts')
  if (box.matches(':popover-open')) box.hidePopover()
  box.showPopover()
}

/** Shows a sentence. tone: ok, bad (stays until closed) or busy (with the id of an operation, which it follows: `ends` are
 *  the sentences that it ends with, `{done, failed}`). */
export function toast(text, tone = 'ok', operation = null, ends = {}) {
  const made = $('#toast').content.firstElementChild.cloneNode(true)
  const link = $('a', made)
  if (operation) { link.href = link.dataset.to.replace(NO_ID, operation); link.hidden = false; made.dataset.for = operation }
  tell(made, tone, text)
  $('#toasts').append(made)
  if ($('dialog[open]')) raise()
  for (const old of $$('.toast').slice(0, -5)) old.remove()
  if (operation && tone === 'busy') follow(made, text, operation, ends)
  return made
}

/** Long enough to be read; from then on it is the tray's, if that has it. */
function late(made) {
  setTimeout(() => {
    if (made.matches(':hover, :focus-within')) return late(made)
    made.dataset.late = ''
    document.dispatchEvent(new CustomEvent('slipway:late'))
  }, STAYS)
}

function follow(made, text, id, ends) {
  let seq = 0, wait = 400, ended = false
  late(made)
  const take = events => {
    const end = ending(events)
    seq = Math.max(seq, ...events.map(e => e.seq))
    const far = events.findLast(e => e.kind === 'progress')?.data
    if (far?.message) $('small', made).textContent = named(far.message)
    if (!end) return
    document.removeEventListener('slipway:operation', heard)
    ended = true
    if (end.result?.undoable) offerUndo(made, id)
    if (end.state === 'succeeded') tell(made, 'ok', ends.done)
    else if (end.state === 'failed') tell(made, 'bad', ends.failed, end.message ?? '')
    else tell(made, 'ok', tr('{what} was cancelled', { what: text }))
    if (made.isConnected && end.state !== 'failed') document.dispatchEvent(new CustomEvent('slipway:told', { detail: { id } }))
    else document.dispatchEvent(new CustomEvent('slipway:late'))
    document.dispatchEvent(new CustomEvent('slipway:ended', { detail: { id, ...end } }))
    return true
  }
  const heard = event => { if (event.detail.id === id && event.detail.events?.length) take(event.detail.events) }
  document.addEventListener('slipway:operation', heard)
  // Asked for as well, less and less often: the socket may be away.
  const ask = async () => {
    if (ended) return
    try {
      const answer = await fetch(`${$('a', made).href}events/?after=${seq}`, { headers: { Accept: 'application/json' } })
      if (answer.ok && take((await answer.json()).events)) return
    } catch { /* offline: asked again */ }
    wait = Math.min(wait * 1.5, 5000)
    setTimeout(ask, wait)
  }
  setTimeout(ask, wait)
}

export function keepToasts() {
  raise()
  onClick('[data-toast-close]', button => {
    const toast = button.closest('.toast')
    toast.remove()
    document.dispatchEvent(new CustomEvent(toast.dataset.for && toast.dataset.tone === 'ok' ? 'slipway:told' : 'slipway:late', { detail: { id: toast.dataset.for } }))
  })
  document.addEventListener('slipway:toast', event => {
    const { text, tone, operation, done, failed } = event.detail
    toast(text, tone, operation, { done, failed })
  })
  // What the server has to say to this page without htmx stands in strips: here they become toasts.
  for (const strip of $$('[data-message]')) { toast(strip.innerText.trim(), strip.dataset.message); strip.remove() }
  const said = sessionStorage.getItem('said')
  if (said) {
    const { text, undo } = JSON.parse(said), made = toast(text)
    sessionStorage.removeItem('said')
    if (undo) { offerUndo(made, undo); tell(made, 'ok', text) }
  }
  document.addEventListener('htmx:sendError', () => toast(tr('Slipway does not answer. Nothing was changed.'), 'bad'))
  document.addEventListener('htmx:responseError', event => {
    const { xhr, requestConfig } = event.detail
    if (requestConfig.verb === 'get' && xhr.status === 404) return
    let why = ''
    try { why = JSON.parse(xhr.responseText).detail } catch { /* a page, not a sentence */ }
    toast(why || tr('That did not work ({status}).', { status: xhr.status }), 'bad')
  })
}
