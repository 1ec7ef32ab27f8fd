// What every page does. Progressive: each page works without this file.
import { onClick } from './dom.js'
import { keepDialogs } from './dialogs.js'
import { keepFilters } from './filters.js'
import { keepKeys } from './keys.js'
import { keepLive } from './live.js'
import { keepPalette } from './palette.js'
import { keepTimes } from './times.js'
import { keepToasts, toast } from './toasts.js'

const root = document.documentElement
onClick('[data-theme-toggle]', () => {
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches
  root.dataset.theme = dark ? 'light' : 'dark'
  localStorage.setItem('theme', root.dataset.theme)
})
onClick('[data-copy], [data-copy-from]', async button => {
  const text = button.dataset.copy || document.getElementById(button.dataset.copyFrom)?.innerText || ''
  try { await navigator.clipboard.writeText(text); toast('Copied') } catch { toast('The browser does not let this page copy', 'bad') }
})
// A session that has ended answers with the sign-in page: it must not land inside this one.
document.addEventListener('htmx:beforeSwap', event => {
  const { xhr } = event.detail
  if (xhr.responseURL && new URL(xhr.responseURL).pathname.startsWith('/login')) { event.detail.shouldSwap = false; location.reload() }
})

if (document.getElementById('toast')) {
  keepToasts()
  keepDialogs()
  keepPalette()
  keepKeys()
}
keepTimes()
keepFilters()
keepLive()
