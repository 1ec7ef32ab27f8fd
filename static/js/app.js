// What every page does. Progressive: each page works without this file.
import { onClick } from './dom.js'
import { keepDialogs } from './dialogs.js'
import { keepFilters } from './filters.js'
import { keepKeys } from './keys.js'
import { keepLive } from './live.js'
import { keepPalette } from './palette.js'
import { keepRows } from './rows.js'
import { keepTimes } from './times.js'
import { keepToasts, toast } from './toasts.js'
import { keepTray } from './tray.js'
import { tr } from './texts.js'

const root = document.documentElement
onClick('[data-theme-toggle]', () => {
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches
  root.dataset.theme = dark ? 'light' : 'dark'
  localStorage.setItem('theme', root.dataset.theme)
})
onClick('[data-copy], [data-copy-from]', async button => {
  const text = button.dataset.copy || document.getElementById(button.dataset.copyFrom)?.innerText || ''
  // Pages at the door have no room for toasts: there the button says it.
  const say = (words, tone) => document.getElementById('toast') ? toast(words, tone) : button.lastChild.textContent = words
  try { await navigator.clipboard.writeText(text); say(tr('Copied')) } catch { say(tr('The browser does not let this page copy'), 'bad') }
})
// A session that has ended answers with the sign-in page: it must not land inside this one.
document.addEventListener('htmx:beforeSwap', event => {
  const { xhr } = event.detail
  if (xhr.responseURL && new URL(xhr.responseURL).pathname.startsWith('/login')) { event.detail.shouldSwap = false; location.reload() }
})

// Fresh copies of a part of the page leave alone what is the reader's: ticks, folds, sparks that were drawn here.
if (window.Idiomorph) {
  const mine = el => el.dataset?.keep !== undefined
  Object.assign(Idiomorph.defaults.callbacks, {
    beforeNodeMorphed: (old, fresh) => !(mine(old) && mine(fresh) && old.id === fresh.id),
    beforeAttributeUpdated: (name, el) => !(name === 'hidden' && el.matches('tr[data-row]'))
      && !(name === 'open' && el.localName === 'details' && !root.hasAttribute('data-showing')),
  })
}
// A page about something that is gone has nothing to say any more.
document.addEventListener('slipway:gone', event => {
  const gone = document.querySelector('[data-gone]')
  if (!gone) return
  sessionStorage.setItem('said', JSON.stringify({ text: gone.dataset.goneText, undo: event.detail?.undo }))
  location.replace(gone.dataset.gone)
})
// "Up 3 h" grows without anything happening on the engine.
setInterval(() => {
  if (!document.hidden) document.querySelectorAll('[data-tick]').forEach(el => el.dispatchEvent(new CustomEvent('changed')))
}, 60000)

if (document.getElementById('toast')) {
  keepToasts()
  keepDialogs()
  keepPalette()
  keepKeys()
  keepRows()
  keepTray()
}
keepTimes()
keepFilters()
keepLive()
