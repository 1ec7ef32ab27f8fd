// The page of logs: its buttons and keys, and what it says about itself.
import { $, $$, onClick } from '../dom.js'
import { draw } from '../histogram.js'
import { LogView } from '../logs.js'
import { toast } from '../toasts.js'

const box = $('#log')

function start() {
  const live = $('[data-log-state]'), words = $('[data-log-text]'), jump = $('[data-jump]'), spoken = $('[data-log-spoken]')
  const q = $('input[name=q]'), hits = $('[data-hits]'), steps = $('[data-steps]'), figure = $('[data-histogram]'), empty = $('[data-log-empty]')
  const many = (n, one) => `${n.toLocaleString('en').replaceAll(',', ' ')} ${one}${n === 1 ? '' : 's'}`
  let at = null, drawn = 0, told = 0

  const view = new LogView(box, [{ id: box.dataset.container, name: box.dataset.name }], show)

  function state() {
    const sources = [...view.sources.values()], away = sources.find(s => s.state === 'unreachable')
    if (view.gone) return ['ended', 'Removed']
    if (!view.connected) return Date.now() - view.lastWord > 1500 ? ['reconnecting', `Reconnecting, last seen ${Math.round((Date.now() - view.lastWord) / 1000)} s ago`] : null
    if (away) return ['unreachable', away.detail || 'Unreachable']
    if (view.paused) return ['paused', 'Paused']
    if (sources.every(s => s.state === 'ended')) return ['ended', 'Ended']
    return sources.some(s => s.state) ? ['live', view.list.following ? 'Following' : 'Not following'] : ['connecting', 'Connecting']
  }

  function show() {
    const now = state()
    if (now) {
      live.dataset.logState = now[0]
      live.title = now[1]
      if (words.textContent !== now[1]) words.textContent = now[1]
    }
    const fresh = view.paused ? view.held.length : view.fresh
    jump.hidden = !fresh || (view.list.following && !view.paused)
    $('span', jump).textContent = many(fresh, 'new line')
    if (!jump.hidden && Date.now() - told > 5000) { told = Date.now(); spoken.textContent = many(fresh, 'new line') }
    $$('[data-count]').forEach(el => { el.textContent = view.counts[el.dataset.count].toLocaleString('en').replaceAll(',', ' ') })
    const pause = $('[data-pause]')
    pause.setAttribute('aria-pressed', view.paused)
    $('span', pause).textContent = view.paused ? 'Resume' : 'Pause'
    hits.textContent = !view.term ? '' : view.hits.length ? `${view.hit + 1} of ${view.hits.length}` : 'None'
    steps.hidden = !view.hits.length
    empty.hidden = view.all.length > 0 || !now || now[0] === 'connecting'
    if (Date.now() - drawn > 1000) histogram()
  }

  function histogram() {
    drawn = Date.now()
    at = draw(figure, view.all)
  }

  setInterval(() => { if (!document.hidden) { show(); histogram() } }, 2000)

  // Buttons

  onClick('[data-off]', button => {
    view.toggle(button.dataset.off)
    button.setAttribute('aria-pressed', !view.off.has(button.dataset.off))
  })
  const toggles = { times: 't', wrap: 'w' }
  const toggle = (name, on) => {
    box.classList.toggle(name, on)
    $(`[data-toggle=${name}]`)?.setAttribute('aria-pressed', on)
    localStorage.setItem(`log-${name}`, on ? 'on' : 'off')
    view.list.remeasure()
  }
  for (const name of Object.keys(toggles)) {
    const kept = localStorage.getItem(`log-${name}`)
    if (kept) toggle(name, kept === 'on')
  }
  onClick('[data-toggle]', button => toggle(button.dataset.toggle, !box.classList.contains(button.dataset.toggle)))
  onClick('[data-pause]', () => view.pause())
  onClick('[data-jump]', () => view.toEnd())
  onClick('[data-step]', button => view.step(Number(button.dataset.step)))
  onClick('[data-copy-log]', async () => {
    try { await navigator.clipboard.writeText(view.text()); toast(`Copied ${many(view.list.items.length, 'line')}`) } catch { toast('The browser does not let this page copy', 'bad') }
  })
  figure.addEventListener('click', event => {
    const svg = $('svg', figure).getBoundingClientRect()
    if (!at || event.clientY > svg.bottom) return
    const ms = at((event.clientX - svg.left) / svg.width), index = view.list.items.findIndex(item => item.ms >= ms)
    if (index >= 0) view.list.reveal(index)
  })

  // Search and keys

  let typing = 0
  q.addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(() => view.search(q.value.trim()), 80) })
  q.form.addEventListener('submit', event => { event.preventDefault(); view.step(-1) })
  q.addEventListener('keydown', event => {
    if (event.key === 'Escape') { q.value = ''; view.search(''); box.focus() }
    if (event.key === 'Enter') { event.preventDefault(); view.step(event.shiftKey ? 1 : -1) }
  })
  document.addEventListener('keydown', event => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || $('dialog[open]')) return
    if (event.target.closest('input:not([type=checkbox]), textarea, select, [contenteditable=true]')) return
    const onButton = event.target.closest('button, a, summary'), key = event.key.toLowerCase()
    if (key === ' ' && !onButton) { event.preventDefault(); view.pause(); return }
    if (localStorage.getItem('letters') === 'off') return
    if (key === 'n') view.step(event.shiftKey ? -1 : 1)
    else if (key === 't' || key === 'w') { const name = key === 't' ? 'times' : 'wrap'; toggle(name, !box.classList.contains(name)) }
    else if (key === '/' && box.contains(event.target)) { event.preventDefault(); q.focus(); q.select() }
    else if (key === 'end' && box.contains(event.target)) view.toEnd()
  })
  if (q.value) view.search(q.value.trim())
}

if (box) start()
