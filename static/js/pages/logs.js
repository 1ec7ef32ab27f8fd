// The page of logs: its buttons and keys, its address, and what it says about itself.
import { $, $$, onClick } from '../dom.js'
import { Histogram, short } from '../histogram.js'
import { around, before, whole } from '../logengine.js'
import { Found } from '../logfound.js'
import { anchor, anchored, clock, grouped, textOf } from '../loglines.js'
import { LogView, MOST } from '../logs.js'
import { toast } from '../toasts.js'
import { plural, tr } from '../texts.js'
import { instant, local } from '../zone.js'

const box = $('#log'), EARLIER = 1000, CONTEXT = 300

function start() {
  const live = $('[data-log-state]'), words = $('[data-log-text]'), jump = $('[data-jump]'), spoken = $('[data-log-spoken]')
  const q = $('input[name=q]'), hits = $('[data-hits]'), steps = $('[data-steps]'), modes = $('[data-modes]'), wrong = $('[data-log-wrong]')
  const empty = $('[data-log-empty]'), nothing = $('[data-log-nothing]'), figure = $('[data-histogram]'), rangeBox = $('[data-range]')
  const chips = $$('[data-source]')
  chips.forEach((chip, i) => chip.classList.add(`s${i % 6 + 1}`))
  const several = new Set(chips.map(chip => chip.dataset.engine)).size > 1 // engines: then a name alone says too little
  const sources = chips.length ? chips.map(({ dataset }) => ({ id: dataset.source, name: several ? `${dataset.name} · ${dataset.engine}` : dataset.name })) : [{ id: box.dataset.container, name: box.dataset.name }]
  const options = { cased: false, whole: false, regex: false }
  let drawn = 0, told = 0, busy = false, ended = false

  const view = new LogView(box, sources, show)
  const histogram = new Histogram(figure, ms => {
    const index = view.list.items.findIndex(item => item.at >= ms)
    if (index >= 0) view.list.reveal(index)
  }, (from, to) => within([from, to]))

  function state() {
    const all = [...view.sources.values()], away = all.find(s => s.state === 'unreachable')
    if (view.gone) return ['ended', tr('Removed')]
    if (!view.connected) { const last = view.line.lastWord; return Date.now() - last > 1500 ? ['reconnecting', tr('Reconnecting, last seen {time} ago', { time: `${Math.round((Date.now() - last) / 1000)} s` })] : null }
    if (away) return ['unreachable', away.detail || tr('Unreachable')]
    if (busy) return ['reading', tr('Reading the log')]
    if (view.paused) return ['paused', tr('Paused')]
    if (all.every(s => s.state === 'ended' || s.state === 'gone')) return ['ended', tr('Ended')]
    return all.some(s => s.state) ? ['live', view.list.following ? tr('Following') : tr('Not following')] : ['connecting', tr('Connecting')]
  }

  function show() {
    const now = state()
    if (now) {
      live.dataset.logState = now[0]
      live.title = now[1]
      if (words.textContent !== now[1]) words.textContent = now[1]
    }
    const fresh = view.paused ? view.held.length + view.lost : view.fresh
    jump.hidden = !fresh || (view.list.following && !view.paused)
    $('span', jump).textContent = plural(fresh, '{n} new line', '{n} new lines', { n: grouped(fresh) })
    if (!jump.hidden && Date.now() - told > 5000) { told = Date.now(); spoken.textContent = plural(fresh, '{n} new line', '{n} new lines', { n: grouped(fresh) }) }
    $$('[data-count]').forEach(el => { el.textContent = grouped(view.counts[el.dataset.count]) })
    const pause = $('[data-pause]')
    pause.setAttribute('aria-pressed', view.paused)
    $('span', pause).textContent = view.paused ? tr('Resume') : tr('Pause')
    found()
    columns()
    empty.hidden = view.all.length > 0 || !now || now[0] === 'connecting'
    nothing.hidden = !view.all.length || view.list.items.length > 0 || view.progress < 1
    if (Date.now() - drawn > 1000) draw()
  }

  function found() {
    const { wanted, job } = view, at = view.hit ? view.hits.indexOf(view.hit) + 1 : 0
    hits.textContent = job && wanted && view.progress < 1 ? `${Math.floor(view.progress * 100)} %` : !wanted ? ''
      : view.mode === 'not' ? '' : view.hits.length ? view.mode === 'mark' ? tr('{part} of {all}', { part: at || '–', all: grouped(view.hits.length) }) : grouped(view.hits.length) : tr('None')
    steps.hidden = !view.hits.length || !wanted
    modes.hidden = !wanted
    wrong.hidden = !view.wrong
    wrong.textContent = view.wrong
    $('[data-search-field]').classList.toggle('err', Boolean(view.wrong))
  }

  function draw() {
    drawn = Date.now()
    histogram.draw(view.all, view.range)
  }

  setInterval(() => { if (!document.hidden) { show(); draw() } }, 2000)

  // The address carries what is looked at

  function address() {
    const now = new URLSearchParams(location.search), put = (name, value) => { if (value) now.set(name, value); else now.delete(name) }
    put('q', q.value)
    for (const name of Object.keys(options)) put(name, options[name] ? '1' : '')
    put('show', view.mode === 'mark' ? '' : view.mode)
    put('off', [...view.off].filter(name => name.length < 4).join(','))
    put('hide', [...view.off].filter(name => name.length > 4).join(','))
    history.replaceState(history.state, '', `${location.pathname}${now.size ? `?${now}` : ''}${location.hash}`)
  }

  function fromAddress() {
    const now = new URLSearchParams(location.search)
    q.value = now.get('q') ?? ''
    for (const name of Object.keys(options)) options[name] = now.get(name) === '1'
    if (['only', 'not'].includes(now.get('show'))) view.mode = now.get('show')
    for (const name of [...(now.get('off') ?? '').split(','), ...(now.get('hide') ?? '').split(',')]) if ($(`[data-off="${CSS.escape(name)}"]`)) view.off.add(name)
    pressed()
    if (q.value) search(); else if (view.off.size) view.apply()
    if (anchored(location.hash)) link()
  }

  function pressed() {
    $$('[data-off]').forEach(el => el.setAttribute('aria-pressed', !view.off.has(el.dataset.off)))
    $$('[data-option]').forEach(el => el.setAttribute('aria-pressed', options[el.dataset.option]))
    $$('[data-mode]').forEach(el => el.setAttribute('aria-pressed', view.mode === el.dataset.mode))
  }

  /** What is asked for: `/regex/` in the field is a pattern too. */
  function asked() {
    const text = q.value.trim(), slashes = /^\/(.+)\/(i?)$/.exec(text)
    return slashes ? [slashes[1], { ...options, regex: true }] : [text, options]
  }
  function search() { view.search(...asked()); address() }
  function within(range) {
    view.within(range)
    rangeBox.hidden = !range
    if (range) $('[data-range-text]').textContent = `${short(range[0])} – ${short(range[1])}`
    draw()
  }

  // Buttons

  onClick('[data-off]', button => { view.toggle(button.dataset.off); pressed(); address() })
  onClick('[data-option]', button => { options[button.dataset.option] = !options[button.dataset.option]; pressed(); search(); q.focus() })
  onClick('[data-mode]', button => { view.as(button.dataset.mode); pressed(); address() })
  onClick('[data-show-all]', () => { view.off.clear(); q.value = ''; view.mode = 'mark'; within(null); pressed(); search() })
  onClick('[data-range-off]', () => within(null))
  const toggle = (name, on) => {
    box.classList.toggle(name, on)
    $(`[data-toggle=${name}]`)?.setAttribute('aria-pressed', on)
    localStorage.setItem(`log-${name}`, on ? 'on' : 'off')
    if (name === 'numbers') view.numbered = on
    view.list.remeasure()
  }
  for (const name of ['times', 'numbers', 'wrap']) {
    const kept = localStorage.getItem(`log-${name}`)
    if (kept) toggle(name, kept === 'on')
  }
  onClick('[data-toggle]', button => toggle(button.dataset.toggle, !box.classList.contains(button.dataset.toggle)))
  // Columns

  const fields = $('#log-fields'), heads = $('[data-field-heads]')
  function columns() {
    const { picked, tracks } = view.fields
    if (heads.dataset.tracks === tracks) return
    heads.dataset.tracks = tracks
    heads.hidden = !picked.length
    box.classList.toggle('fields', picked.length > 0)
    for (const el of [box, heads]) el.style.setProperty('--fields', tracks)
    heads.replaceChildren(...picked.map(name => {
      const head = document.createElement('span')
      head.textContent = head.title = name
      return head
    }))
  }
  heads.style.setProperty('--names', box.style.getPropertyValue('--names'))
  columns()
  fields.addEventListener('toggle', event => {
    if (event.newState !== 'open') return
    const seen = view.fields.seen(view.all), picked = new Set(view.fields.picked)
    $('[data-field-none]').hidden = seen.size > 0
    $('[data-field-list]').replaceChildren(...[...seen].map(([name, text]) => {
      const one = $('#log-field').content.firstElementChild.cloneNode(true), tick = $('input', one)
      tick.value = name
      tick.checked = picked.has(name)
      $('span', one).textContent = name
      $('small', one).textContent = text.slice(0, 60)
      return one
    }))
  })
  fields.addEventListener('change', event => { view.fields.pick(event.target.value, event.target.checked); columns(); view.list.remeasure() })

  onClick('[data-pause]', () => view.pause())
  onClick('[data-jump]', () => view.toEnd())
  onClick('[data-step]', button => view.step(Number(button.dataset.step)))
  const closeMenu = () => $('#log-do').hidePopover()
  const copy = async (text, said) => { try { await navigator.clipboard.writeText(text); toast(said) } catch { toast(tr('The browser does not let this page copy'), 'bad') } }
  onClick('[data-copy-log]', () => { closeMenu(); copy(view.text(), plural(view.list.items.length, 'Copied {n} line', 'Copied {n} lines', { n: grouped(view.list.items.length) })) })
  onClick('[data-download-shown]', () => {
    closeMenu()
    const link = document.createElement('a')
    link.href = URL.createObjectURL(new Blob([view.text()], { type: 'text/plain' }))
    link.download = `${sources.length === 1 ? sources[0].name : 'logs'}-shown.log`
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 10000)
  })
  onClick('[data-fold-all]', button => {
    const folded = button.getAttribute('aria-pressed') !== 'true'
    button.setAttribute('aria-pressed', folded)
    closeMenu()
    view.foldAll(folded)
  })
  onClick('[data-search-all]', closeMenu)
  const finder = new Found(view, () => { const [text, how] = asked(); return text && !view.wrong ? { q: text, ...Object.fromEntries(Object.entries(how).filter(([, on]) => on).map(([name]) => [name, '1'])) } : null },
    (source, [stream, ns]) => context(source, ns, item => item.ns === ns && item.stream === stream))

  // Lines and what hangs on them

  const itemAt = el => { const row = el.closest('.ln'); for (const [item, shown] of view.list.shown) if (shown === row) return item; return null }
  box.addEventListener('click', async event => {
    const what = event.target.closest('[data-line]'), item = itemAt(event.target)
    if (!item) return
    if (what?.dataset.line === 'fold') view.fold(item)
    else if (what?.dataset.line === 'open') view.turn(item)
    else if (what?.dataset.line === 'more') { view.remove(item); await context(item.source, item.hole.ns, null) }
    else if (what?.dataset.line === 'whole') {
      try { item.whole = await whole(item) ?? item.text; view.turn(item, true); view.list.again(item) } catch (error) { toast(error.message, 'bad') }
    } else if (event.target.closest('time') && !item.gap) { view.at = item; history.replaceState(history.state, '', anchor(item)); view.list.draw(); copy(location.href, tr('Copied a link to this line')) }
  })
  // What is copied is lines: without gutters, and as long as they are.
  box.addEventListener('copy', event => {
    const selection = getSelection(), rows = [...view.list.shown].filter(([, row]) => selection.containsNode(row, true))
    if (rows.length < 2) return
    event.preventDefault()
    rows.sort(([, a], [, b]) => a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1)
    event.clipboardData.setData('text/plain', rows.map(([item]) => textOf(item)).join('\n'))
  })

  /** Loads the lines around a time and goes to the one that `is` says, else to the first from that time on. */
  async function context(source, ns, is) {
    busy = true
    show()
    try {
      const items = view.past(source, await around(source.id, ns, CONTEXT))
      if (is) { view.list.following = false; if (!view.paused) view.pause(true) }
      const item = is ? items.find(is) ?? items.find(one => one.ns >= ns) ?? items.at(-1) : null
      if (item && !view.goTo(item)) { view.off.clear(); view.range = null; rangeBox.hidden = true; view.mode = 'mark'; pressed(); view.apply(() => view.goTo(item)) }
      if (!items.length) toast(tr('The engine holds nothing of {name} there', { name: source.name }))
      return item
    } catch (error) { toast(error.message, 'bad') } finally { busy = false; show() }
    return null
  }

  async function link() {
    const wanted = anchored(location.hash), source = wanted && view.sources.get(wanted.id)
    if (!source) return
    const is = item => !item.gap && item.source === source && item.ns === wanted.ns && item.n === wanted.n, here = view.all.find(is)
    if (here && view.goTo(here)) return
    const item = await context(source, wanted.ns, is)
    if (item && item.ns !== wanted.ns) toast(tr('The engine holds this line no longer: this is what stood next to it'))
  }
  addEventListener('hashchange', link)

  $('[data-goto]').addEventListener('submit', async event => {
    event.preventDefault()
    const ms = instant($('#log-at').value), first = view.all.find(item => !item.gap)
    closeMenu()
    if (!Number.isFinite(ms)) return
    const index = view.list.items.findIndex(item => !item.gap && item.at >= ms)
    if (first && first.at <= ms && index >= 0) { view.goTo(view.list.items[index]); return }
    const shown = [...view.sources.values()].filter(source => !view.off.has(source.id)), ns = `${ms}000000`
    for (const source of shown) await context(source, ns, source === shown.at(-1) ? item => item.at >= ms : null)
  })
  $('#log-do').addEventListener('toggle', event => {
    const at = view.list.items.find(item => !item.gap && item.at >= (histogram.from || 0))
    if (event.newState === 'open' && !$('#log-at').value && at) $('#log-at').value = local(at.ms).toISOString().slice(0, 19)
  })

  // Earlier lines come when the reader arrives at the beginning
  box.addEventListener('scroll', async () => {
    if (box.scrollTop > 200 || busy || ended || view.list.following || !view.all.length) return
    if (view.all.length + EARLIER * sources.length > MOST) { ended = true; toast(tr('The page holds {n} lines: go to a time for earlier ones', { n: grouped(MOST) })); return }
    busy = true
    show()
    let came = 0
    try {
      for (const source of view.sources.values()) {
        const first = view.all.find(item => item.source === source && !item.gap), had = view.all.length
        if (first) view.past(source, await before(source.id, first.ns, EARLIER))
        came += view.all.length - had
      }
    } catch { /* asked again at the next scroll */ }
    ended = !came
    setTimeout(() => { busy = false; show() }, 300)
  }, { passive: true })

  // Search and keys

  let typing = 0
  q.addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(search, 80) })
  q.form.addEventListener('submit', event => { event.preventDefault(); view.step(-1) })
  q.addEventListener('keydown', event => {
    if (event.key === 'Escape') { q.value = ''; search(); box.focus() }
    if (event.key === 'Enter') { event.preventDefault(); view.step(event.shiftKey ? 1 : -1) }
  })
  document.addEventListener('keydown', event => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || $('dialog[open]')) return
    if (event.target.closest('input:not([type=checkbox]), textarea, select, [contenteditable=true]')) return
    const onButton = event.target.closest('button, a, summary'), key = event.key.toLowerCase()
    if (key === ' ' && !onButton) { event.preventDefault(); view.pause(); return }
    if (localStorage.getItem('letters') === 'off') return
    const marked = view.at ?? view.hit
    if (key === 'n') view.step(event.shiftKey ? -1 : 1)
    else if (key === 't' || key === 'w') { const name = key === 't' ? 'times' : 'wrap'; toggle(name, !box.classList.contains(name)) }
    else if (!box.contains(event.target)) return
    else if (key === '/') { event.preventDefault(); q.focus(); q.select() }
    else if (key === 'end') view.toEnd()
    else if (event.shiftKey && (key === 'arrowdown' || key === 'arrowup')) { event.preventDefault(); walk(key === 'arrowup' ? -1 : 1) }
    else if (key === 'y' && marked) { history.replaceState(history.state, '', anchor(marked)); copy(location.href, tr('Copied a link to this line')) }
    else if (key === 'enter' && marked && !onButton) { event.preventDefault(); if (marked.parts) view.fold(marked); else view.turn(marked) }
  })
  /** The line that the keyboard is at. */
  function walk(by) {
    const { items } = view.list, at = items.indexOf(view.at ?? view.hit)
    for (let i = at < 0 ? view.list.at(box.scrollTop) : at + by; i >= 0 && i < items.length; i += by) if (!items[i].gap) { view.goTo(items[i]); spoken.textContent = `${clock(items[i].ms)} ${items[i].text.slice(0, 300)}`; return }
  }
  // For measurements and tests: what the page holds.
  box.view = view
  box.finder = finder
  fromAddress()
}

if (box) start()
