// Filter forms answer while one types: data-filter names the part of the page that is fetched again.
import { $, $$, onClick } from './dom.js'

/** The form's own address: empty fields are left out, so that an address says no more than it must. */
function address(form) {
  const parts = new URLSearchParams(new FormData(form))
  for (const [key, value] of [...parts]) if (!value) parts.delete(key, value)
  const text = parts.toString()
  return text ? `${location.pathname}?${text}` : location.pathname
}

/** Fetches a part of the page anew from this address, which becomes the page's own. */
export async function show(part, url) {
  history.replaceState(history.state, '', url)
  dispatchEvent(new CustomEvent('slipway:address'))
  part.setAttribute('hx-get', url)
  part.setAttribute('aria-busy', 'true')
  document.documentElement.toggleAttribute('data-showing', true)
  try {
    await htmx.ajax('GET', url, { source: part, target: part, swap: part.getAttribute('hx-swap') })
  } catch { /* a toast says so */ } finally {
    document.documentElement.toggleAttribute('data-showing', false)
    $(`#${part.id}`)?.removeAttribute('aria-busy')
  }
}

/** What a list was narrowed to, and which columns it has, is there again when one comes back to it by a link; a second
 *  click, on the list itself, shows everything. */
function keepAddresses() {
  const name = path => `list ${path}`
  const remember = () => {
    const parts = new URLSearchParams(location.search)
    for (const passing of ['page', 'cursor', 'before']) parts.delete(passing)
    const text = parts.toString()
    if (text) localStorage.setItem(name(location.pathname), text); else localStorage.removeItem(name(location.pathname))
  }
  if ($('main.list form[data-filter]')) {
    remember()
    addEventListener('slipway:address', remember)
  }
  onClick('.nav a[href], .tabbar a[href], #palette a[id^=po-], .crumbs a[href]', link => {
    if (link.pathname !== location.pathname && !link.search) link.search = localStorage.getItem(name(link.pathname)) ?? ''
  })
}

export function keepFilters() {
  keepAddresses()
  for (const form of $$('form[data-filter]')) {
    let timer
    const apply = () => { clearTimeout(timer); const part = $(form.dataset.filter); if (part) show(part, address(form)) }
    for (const button of $$('[data-apply]', form)) button.hidden = true
    form.addEventListener('input', event => { clearTimeout(timer); timer = setTimeout(apply, event.target.type === 'search' ? 200 : 0) })
    form.addEventListener('submit', event => { event.preventDefault(); apply(); $(form.dataset.filter)?.focus() }) // on to what is found
    form.addEventListener('keydown', event => {
      if (event.key !== 'Escape' || event.target.type !== 'search') return
      if (event.target.value) { event.target.value = ''; apply() } else event.target.blur()
    })
  }
  onClick('[data-eye]', button => {
    const field = $('input', button.parentElement), shown = field.type === 'password'
    field.type = shown ? 'text' : 'password'
    button.setAttribute('aria-pressed', shown)
  })
}
