// Command palette: what can be done with what is in view, what the server finds, places to go. Combobox and listbox.
import { $, $$, onClick } from './dom.js'
import { plural, tr } from './texts.js'

export function keepPalette() {
  const palette = $('#palette')
  if (!palette) return
  const input = $('input', palette), none = $('.none', palette)
  const here = $('[data-palette-here]', palette), found = $('[data-palette-found]', palette)
  const shown = () => $$('.opt', palette).filter(option => !option.hidden && !option.closest('[hidden]'))
  let asked = 0, timer

  const pick = option => {
    for (const other of $$('.opt', palette)) other.setAttribute('aria-selected', other === option)
    if (option) { input.setAttribute('aria-activedescendant', option.id); option.scrollIntoView({ block: 'nearest' }) }
    else input.removeAttribute('aria-activedescendant')
  }
  const filter = () => {
    const words = input.value.trim().toLowerCase().split(/\s+/)
    for (const option of $$('.pg:not([data-palette-found]) > .opt', palette))
      option.hidden = !words.every(word => option.textContent.toLowerCase().includes(word))
    for (const group of $$('.pg', palette)) if (!group.matches('[data-palette-found]')) group.hidden = !$('.opt:not([hidden])', group)
    none.hidden = shown().length > 0
    pick(shown()[0])
  }
  const look = () => {
    clearTimeout(timer)
    timer = setTimeout(async () => {
      const number = ++asked, q = input.value.trim()
      const answer = await fetch(`${palette.dataset.search}?q=${encodeURIComponent(q)}`, { headers: { 'HX-Request': 'true' } }).catch(() => null)
      if (!answer?.ok || answer.redirected || number !== asked) return
      found.replaceChildren(...new DOMParser().parseFromString(await answer.text(), 'text/html').body.childNodes)
      found.hidden = !found.childElementCount
      filter()
    }, input.value ? 120 : 0)
  }
  /** What can be done here: with what is selected, else with what the page is about. Buttons and links that say
   *  data-command="words" anywhere, and those with words of their own at the page's head. */
  const gather = () => {
    const chosen = $$('tr .check:checked').length, bulk = chosen > 0 && $('.bulk')
    const title = bulk ? plural(chosen, '{n} selected', '{n} selected') : ($('[data-command-of]')?.dataset.commandOf ?? $('main h1')?.textContent.trim() ?? '')
    const heads = 'main .bar-top .btn, main .head-acts .btn', wordless = target => !target.dataset.command && !target.innerText.trim()
    const targets = bulk ? $$('[data-command]', bulk) : $$(`[data-command], ${heads}`).filter(target =>
      !target.disabled && !wordless(target) && (target.dataset.command || target.checkVisibility()))
    const made = targets.map((target, i) => {
      const option = document.createElement('div'), icon = $('svg', target)?.cloneNode(true), text = document.createElement('span')
      option.className = 'opt'; option.id = `po-here-${i}`; option.setAttribute('role', 'option')
      text.className = 'grow'; text.textContent = target.dataset.command ? tr('{command} {name}', { command: target.dataset.command, name: title }) : target.innerText.trim()
      option.append(...[icon, text].filter(Boolean))
      option.onclick = () => { palette.close(); target.click() }
      return option
    })
    here.setAttribute('aria-label', title || tr('Here'))
    $('.menu-title', here).textContent = title
    here.replaceChildren($('.menu-title', here), ...made)
  }
  const open = () => { input.value = ''; gather(); filter(); look(); palette.showModal(); input.focus() }

  input.addEventListener('input', () => { filter(); look() })
  input.addEventListener('keydown', event => {
    const options = shown(), at = options.findIndex(option => option.getAttribute('aria-selected') === 'true')
    if (event.key === 'ArrowDown') pick(options[(at + 1) % options.length])
    else if (event.key === 'ArrowUp') pick(options[(at - 1 + options.length) % options.length])
    else if (event.key === 'Enter') { palette.close(); options[at]?.click() }
    else return
    event.preventDefault()
  })
  onClick('#palette .opt', () => palette.close())
  // What is done at once is posted from here; the answer is a toast.
  onClick('#palette [data-do]', (option, event) => {
    event.preventDefault()
    htmx.ajax('POST', option.dataset.do, { swap: 'none', values: { csrfmiddlewaretoken: $('input[name=csrfmiddlewaretoken]').value } })
  })
  onClick('[data-palette]', open)
  document.addEventListener('keydown', event => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') { event.preventDefault(); palette.open ? palette.close() : open() }
  })
}
