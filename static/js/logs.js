// A view of what containers write: the socket, the lines held, what of them is shown, and the search.
import { LogList } from './loglist.js'
import { Source, gap, note, row } from './loglines.js'

export const MOST = 20000
const SPARE = 1000, WAITS = [300, 600, 1200, 2500, 5000, 10000], TAIL = 5000

export class LogView {
  /** `sources`: `[{id, name}]`. `told(view)` is called when anything beside the lines has changed. */
  constructor(scroller, sources, told) {
    this.told = told
    this.sources = new Map(sources.map(({ id, name }, i) => [id, new Source(id, name, i, sources.length === 1)]))
    this.all = []
    this.held = [] // came while paused
    this.fresh = 0 // came behind what the reader looks at
    this.paused = false
    this.off = new Set() // what is not shown: levels, streams, containers
    this.counts = { err: 0, wrn: 0, inf: 0, dbg: 0, 1: 0, 2: 0 }
    this.term = ''
    this.hits = []
    this.hit = -1
    this.connected = false
    this.gone = false
    this.lastWord = Date.now()
    this.failures = 0
    this.list = new LogList(scroller, row, following => { if (following) this.fresh = 0; this.tell() }, rows => this.mark(rows))
    this.list.remeasure()
    this.connect()
    addEventListener('online', () => this.again(0))
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.again(0) })
  }

  // The socket

  connect() {
    const query = new URLSearchParams([...this.sources.keys()].map(id => ['container', id])), cursors = [...this.sources.values()].map(s => s.cursor)
    cursors.filter(Boolean).forEach(cursor => query.append('after', cursor))
    query.append('tail', TAIL)
    const it = this.socket = new WebSocket(`${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/ws/logs/?${query}`)
    it.onopen = () => { if (it === this.socket) { this.connected = true; this.failures = 0; this.lastWord = Date.now(); this.tell() } }
    it.onmessage = event => { if (it === this.socket) { this.lastWord = Date.now(); this.take(JSON.parse(event.data)) } }
    it.onclose = event => { if (it === this.socket) this.lost(event.code) }
  }

  lost(code) {
    this.socket = null
    this.connected = false
    if (code === 4401 || code === 4408) { location.reload(); return }
    this.gone = code === 4404 || code === 4410 || code === 4403
    if (this.gone) { this.add([note('The container was removed: this is what it said.')]); this.tell(); return }
    const wait = code === 4429 ? 30000 : WAITS[Math.min(this.failures++, WAITS.length - 1)]
    this.again(wait * (0.7 + Math.random() * 0.6))
    this.tell()
  }

  again(wait) {
    clearTimeout(this.timer)
    if (!this.socket && !this.gone) this.timer = setTimeout(() => { if (!this.socket) this.connect() }, wait)
  }

  take(frame) {
    const source = this.sources.get(frame.container)
    if (!source) return
    if (frame.type === 'lines') this.add(source.take(frame))
    else if (frame.type === 'gap' && frame.cause === 'restart') source.restarted()
    else if (frame.type === 'gap') this.add([gap(frame.lines, source)])
    else if (frame.type === 'state') this.state(source, frame)
    else if (frame.type === 'error') this.add([note(`${source.name}: ${frame.detail}`, source)])
  }

  state(source, { state, detail }) {
    const before = source.state
    source.state = state
    source.detail = detail
    if (state === 'ended' && before && before !== 'ended') this.add([note(detail || `${source.name} has ended`, source)])
    if (state === 'following' && before === 'ended') this.add([note(`${source.name} was started again`, source)])
    this.tell()
  }

  // The lines

  add(items) {
    if (!items.length) return
    if (this.paused) {
      this.held.push(...items)
      if (this.held.length > MOST + SPARE) this.held.splice(0, this.held.length - MOST)
      this.tell()
      return
    }
    const before = this.list.items.length
    for (const item of items) {
      item.low = null
      this.count(item, 1)
      this.all.push(item)
      if (!this.shows(item)) continue
      this.list.items.push(item)
      if (this.term && this.matches(item)) this.hits.push(item)
    }
    if (this.list.following && this.selecting()) this.list.following = false
    if (!this.list.following) this.fresh += this.list.items.length - before
    this.list.changedBy(this.all.length > MOST + SPARE ? this.dropOldest() : 0)
    this.tell()
  }

  /** Somebody marks text in it: the text must not run away. */
  selecting() {
    const selection = getSelection()
    return selection && !selection.isCollapsed && this.list.el.contains(selection.anchorNode)
  }

  dropOldest() {
    const gone = new Set(this.all.splice(0, this.all.length - MOST)), items = this.list.items
    for (const item of gone) this.count(item, -1)
    this.list.remember()
    let shown = 0
    while (shown < items.length && gone.has(items[shown])) shown++
    items.splice(0, shown)
    const hit = this.hits[this.hit]
    this.hits = this.hits.filter(item => !gone.has(item))
    this.hit = this.hits.indexOf(hit)
    return shown
  }

  count(item, by) {
    if (item.gap) return
    this.counts[item.level || 'inf'] += by
    this.counts[item.stream] += by
  }

  shows(item) {
    if (item.gap) return true
    return !this.off.has(item.level || 'inf') && !this.off.has(String(item.stream)) && !this.off.has(item.source.id)
  }

  /** Shows or hides a level, a stream or a container. */
  toggle(name) {
    if (!this.off.delete(name)) this.off.add(name)
    this.list.set(this.all.filter(item => this.shows(item)))
    this.search(this.term)
  }

  pause(paused = !this.paused) {
    this.paused = paused
    if (!paused) { const held = this.held; this.held = []; this.add(held); this.list.toEnd() }
    this.tell()
  }

  toEnd() { if (this.paused) this.pause(false); this.fresh = 0; this.list.toEnd(); this.tell() }

  /** What is shown, as text. */
  text() {
    return this.list.items.map(item => item.gap ? `--- ${item.text} ---` : `${new Date(item.ms).toISOString()} ${item.text}`).join('\n') + '\n'
  }

  tell() { this.due ||= requestAnimationFrame(() => { this.due = 0; this.told(this) }) }

  // The search

  matches(item) { return !item.gap && (item.low ??= item.text.toLowerCase()).includes(this.term) }

  search(term) {
    this.term = term.toLowerCase()
    this.hits = this.term ? this.list.items.filter(item => this.matches(item)) : []
    this.hit = -1
    this.list.el.classList.toggle('searching', Boolean(this.term))
    if (this.hits.length) this.step(-1, this.hits.length)
    else { this.list.draw(); this.tell() }
  }

  /** Goes to the next match (1) or the one before (-1), from the last one at first. */
  step(by, from = this.hit) {
    if (!this.hits.length) return
    this.hit = (from + by + this.hits.length) % this.hits.length
    this.list.reveal(this.list.items.indexOf(this.hits[this.hit]))
    this.tell()
  }

  /** Paints the matches in view through the Highlight API: the rows' nodes stay as they are. */
  mark(rows) {
    const ranges = []
    for (const [item, el] of rows) {
      const hit = Boolean(this.term) && this.matches(item)
      el.classList.toggle('hit', hit)
      el.classList.toggle('at', hit && item === this.hits[this.hit])
      if (!hit) continue
      const walker = document.createTreeWalker(el.lastChild, NodeFilter.SHOW_TEXT)
      for (let node; (node = walker.nextNode());) {
        for (let at = -1, low = node.data.toLowerCase(); (at = low.indexOf(this.term, at + 1)) >= 0;) {
          const range = new Range()
          range.setStart(node, at)
          range.setEnd(node, Math.min(node.length, at + this.term.length))
          ranges.push(range)
        }
      }
    }
    if (ranges.length) CSS.highlights?.set('hit', new Highlight(...ranges)); else CSS.highlights?.delete('hit')
  }
}
