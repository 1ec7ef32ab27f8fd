// A view of what containers write: the lines held, in the order of time, what of them is shown, and the search.
//
// It holds at most `MOST` lines, and no step of it takes longer than a frame: what looks at all of them goes in slices.
import { Fields } from './logfields.js'
import { LogList } from './loglist.js'
import { Source, gap, hole, grouped, note, textOf } from './loglines.js'
import { keysOf, row } from './logrow.js'
import { LogSocket } from './logsocket.js'
import { PatternError, pieces, searching } from './pattern.js'
import { plural, tr } from './texts.js'

export const MOST = 100000
const SPARE = 2000, HELD = 50000, SLICE = 10, NAME = 28

/** Puts `more` into `items`, both in the order of `at`. True where all of it stands at the end. */
function merge(items, more) {
  const first = more[0].at
  if (!items.length || items.at(-1).at <= first) { for (const item of more) items.push(item); return true }
  let low = 0, high = items.length
  while (low < high) { const middle = (low + high) >> 1; if (items[middle].at <= first) low = middle + 1; else high = middle }
  const tail = items.splice(low)
  let i = 0
  for (const item of more) {
    while (i < tail.length && tail[i].at <= item.at) items.push(tail[i++])
    items.push(item)
  }
  while (i < tail.length) items.push(tail[i++])
  return false
}

const dropped = items => { let n = 0; while (n < items.length && items[n].gone) n++; return n }

export class LogView {
  /** `sources`: `[{id, name}]`. `told(view)` is called when anything beside the lines has changed. */
  constructor(scroller, sources, told) {
    this.told = told
    if (sources.length > 1) scroller.style.setProperty('--names', `${Math.min(NAME, Math.max(...sources.map(({ name }) => name.length)))}ch`)
    this.sources = new Map(sources.map(({ id, name }, i) => [id, new Source(id, name, i, sources.length === 1)]))
    this.all = []
    this.held = [] // came while paused
    this.lost = 0 // of those, how many were too many
    this.fresh = 0 // came behind what the reader looks at
    this.paused = false
    this.off = new Set() // what is not shown: levels, streams, containers
    this.range = null // from and to, milliseconds: nothing else is shown
    this.counts = { err: 0, wrn: 0, inf: 0, dbg: 0, 1: 0, 2: 0 }
    this.wanted = null // what is searched for
    this.mode = 'mark' // matches are marked; 'only' they are shown, or everything but them ('not')
    this.wrong = '' // what is wrong with the pattern
    this.round = 0
    this.hits = []
    this.hit = null
    this.at = null // the line that an address or the reader has picked
    this.job = null
    this.late = []
    this.numbered = false // whether rows say the how manieth line they are
    this.dropped = 0 // lines that the page held and holds no more
    this.known = 0 // of how many items at the beginning the number is known
    this.fields = new Fields(sources.map(({ name }) => name).join(' '), () => this.tell())
    this.list = new LogList(scroller, (item, old) => row(item, old, this.fields), following => { if (following) this.fresh = 0; this.tell() }, rows => this.mark(rows))
    this.list.remeasure()
    this.line = new LogSocket([...this.sources.values()], {
      frame: frame => this.take(frame), change: () => this.tell(), over: words => this.add([note(words)]),
    })
  }

  get connected() { return this.line.connected }
  get gone() { return this.line.over }
  get alone() { return this.sources.size === 1 }

  take(frame) {
    const source = this.sources.get(frame.container)
    if (!source) return
    if (frame.type === 'lines') this.add(source.take(frame))
    else if (frame.type === 'past') this.add(source.replayed(frame))
    else if (frame.type === 'gap' && frame.cause === 'restart') source.restarted()
    else if (frame.type === 'gap') {
      // What the engine has left out has a number of its own, among those of the lines.
      if (frame.from) source.seq = Math.max(source.seq, frame.seq ?? 0)
      this.add([gap(frame, source)])
    }
    else if (frame.type === 'state') this.state(source, frame)
    else if (frame.type === 'error') { source.state = 'gone'; this.add([note(`${source.name}: ${frame.detail ?? tr('it can be read no longer')}`, source)]) }
  }

  state(source, { state, detail }) {
    const before = source.state
    source.state = state
    source.detail = detail ?? ''
    if (state === 'ended' && before && before !== 'ended') this.add([note(detail || tr('{name} has ended', { name: source.name }), source)])
    if (state === 'following' && before === 'ended') this.add([note(tr('{name} was started again', { name: source.name }), source)])
    this.tell()
  }

  // The lines

  add(items) {
    if (!items.length) return
    if (this.paused) {
      for (const item of items) this.held.push(item)
      const over = this.held.length - HELD
      if (over > SPARE) { this.held.splice(0, over); this.lost += over }
      this.tell()
    } else this.put(items, true)
  }

  /** Takes lines in at their place in time; `fresh` ones are news to the reader. */
  put(items, fresh) {
    const end = this.all.at(-1)?.at ?? Date.now()
    for (const item of items) { if (item.at === Infinity) item.at = end; this.count(item, 1) }
    items.sort((a, b) => a.at - b.at)
    if (!merge(this.all, items)) this.known = 0
    if (this.list.following && this.selecting()) this.list.following = false
    if (this.job) for (const item of items) this.late.push(item)
    else {
      const shown = this.show(items)
      if (fresh && !this.list.following) this.fresh += shown
    }
    if (this.all.length > MOST + SPARE) this.drop(this.all.length - MOST)
    this.tell()
  }

  show(items) {
    const shown = items.filter(item => this.shows(item))
    if (!shown.length) return 0
    const { list } = this, first = shown[0].at, place = list.items.at(-1)?.at > first ? list.place() : null
    if (merge(list.items, shown)) list.grown(); else list.moved(place)
    const hits = this.wanted && this.mode !== 'not' ? shown.filter(item => this.finds(item)) : []
    if (hits.length) merge(this.hits, hits)
    return shown.length
  }

  /** Somebody marks text in it: the text must not run away. */
  selecting() {
    const selection = getSelection()
    return selection && !selection.isCollapsed && this.list.el.contains(selection.anchorNode)
  }

  /** The oldest go: it is a window on a stream. */
  drop(n) {
    const { list } = this, gone = this.all.splice(0, n)
    for (const item of gone) { item.gone = true; this.count(item, -1); if (!item.gap) this.dropped++ }
    this.known = Math.max(0, this.known - n)
    const shown = dropped(list.items)
    if (shown) { const place = list.place(); list.items.splice(0, shown); list.moved(place) }
    this.hits.splice(0, dropped(this.hits))
    if (this.hit?.gone) this.hit = null
  }

  /** The how manieth line each is: counted on from the last that is known. */
  number() {
    const { all } = this
    let n = this.known ? all[this.known - 1].no : this.dropped
    for (; this.known < all.length; this.known++) { const item = all[this.known]; if (!item.gap) n++; item.no = n }
  }

  count(item, by) {
    if (item.gap) return
    // An error may be known as one by the trace that follows it.
    if (by > 0 && item.head?.as && item.head.as !== item.head.level && !item.head.gone) { this.count(item.head, -1); this.count(item.head, 1); this.list.again(item.head) }
    if (by > 0) item.as = item.level || 'inf'
    this.counts[item.as] += by
    this.counts[item.stream] += by
  }

  shows(item) {
    if (item.source && this.off.has(item.source.id)) return false
    if (this.range && !(item.at >= this.range[0] && item.at <= this.range[1])) return false
    if (item.gap) return true
    if (this.off.has(item.level || 'inf') || this.off.has(item.stream === 2 ? '2' : '1') || item.head?.folded) return false
    return !this.wanted || this.mode === 'mark' || this.finds(item) === (this.mode === 'only')
  }

  finds(item) {
    if (item.gap || !this.wanted) return false
    if (item.round !== this.round) { item.round = this.round; item.hit = this.wanted.test(item.text) }
    return item.hit
  }

  /** Looks at every line anew, a slice at a time, and shows what is to be shown. */
  apply(done = null) {
    this.job = { at: 0, all: this.all.slice(), items: [], hits: [], done }
    this.late = []
    this.work(this.job)
  }

  work(job) {
    if (job !== this.job) return
    const until = performance.now() + SLICE, { all } = job, hits = this.wanted && this.mode !== 'not'
    while (job.at < all.length) {
      const item = all[job.at++]
      if (!item.gone && this.shows(item)) {
        job.items.push(item)
        if (hits && this.finds(item)) job.hits.push(item)
      }
      if (job.at % 16 === 0 && performance.now() > until) { this.tell(); setTimeout(() => this.work(job)); return }
    }
    this.job = null
    job.items.splice(0, dropped(job.items))
    job.hits.splice(0, dropped(job.hits))
    this.hits = job.hits
    this.list.set(job.items)
    this.show(this.late.filter(item => !item.gone))
    this.late = []
    job.done?.()
    this.tell()
  }

  /** How much of the search is done, from 0 to 1. */
  get progress() { return this.job ? this.job.at / (this.job.all.length || 1) : 1 }

  /** Shows or hides a level, a stream or a container. */
  toggle(name) {
    if (!this.off.delete(name)) this.off.add(name)
    this.apply()
  }

  within(range) { this.range = range; this.apply() }

  fold(item, folded = !item.folded) {
    item.folded = folded
    this.list.again(item)
    this.apply()
  }

  foldAll(folded) {
    for (const item of this.all) if (item.parts) { item.folded = folded; if (this.list.shown.has(item)) this.list.again(item) }
    this.apply()
  }

  /** Opens or closes a line: then it is as high as what it holds. */
  turn(item, open = !item.open) {
    if (item.open !== open) this.list.open += open ? 1 : -1
    item.open = open
    this.list.again(item)
  }

  pause(paused = !this.paused) {
    this.paused = paused
    if (!paused) {
      const { held, lost } = this
      this.held = []
      this.lost = 0
      if (lost) this.put([{ ...note(plural(lost, '{n} line skipped: more came while paused than the page keeps', '{n} lines skipped: more came while paused than the page keeps', { n: grouped(lost) })), at: held[0].at, quiet: false }], false)
      if (held.length) this.put(held, true)
      this.list.toEnd()
    }
    this.tell()
  }

  toEnd() { if (this.paused) this.pause(false); this.fresh = 0; this.list.toEnd(); this.tell() }

  /** Takes in lines of the past, `[stream, ns, text]`, and says where something is left out between them and others. */
  past(source, rows) {
    if (!rows.length) return []
    const key = item => `${item.stream}:${item.ns}:${item.n}`, items = source.past(rows)
    const from = items[0].at, to = items.at(-1).at, mine = this.all.filter(item => item.source === source && !item.gap)
    const had = new Set(mine.filter(item => item.at >= from - 1 && item.at <= to + 1).map(key)), fresh = items.filter(item => !had.has(key(item)))
    const before = mine.findLast(item => item.at < from), after = mine.some(item => item.at > to)
    if (fresh.length && this.all.length + fresh.length > MOST) this.drop(MOST / 2)
    if (fresh.length) this.put(fresh, false)
    const holes = []
    if (before && !before.gone && !had.has(key(items[0]))) holes.push(hole(source, before))
    if (after && !had.has(key(items.at(-1)))) holes.push(hole(source, items.at(-1)))
    if (holes.length) this.put(holes, false)
    return items.map(item => had.has(key(item)) ? mine.find(one => key(one) === key(item)) : item)
  }

  /** Takes one row away. */
  remove(item) {
    item.gone = true
    this.known = 0
    for (const items of [this.all, this.list.items]) {
      const at = items.indexOf(item), place = items === this.list.items && at >= 0 ? this.list.place() : null
      if (at >= 0) items.splice(at, 1)
      if (items === this.list.items && at >= 0) this.list.moved(place)
    }
  }

  /** Brings a line into view and marks it. False where it is not shown. */
  goTo(item) {
    const index = this.list.items.indexOf(item)
    if (index < 0) return false
    this.at = item
    this.list.reveal(index)
    this.tell()
    return true
  }

  /** Lines as text, as they are copied and downloaded. */
  text(items = this.list.items) {
    return items.map(item => item.gap ? `--- ${item.text} ---\n` : `${new Date(item.ms).toISOString()} ${this.alone ? '' : `${item.source.name} `}${textOf(item)}\n`).join('')
  }

  tell() { this.due ||= requestAnimationFrame(() => { this.due = 0; this.told(this) }) }

  // The search

  /** `options`: regex, cased, whole. */
  search(source, options = {}) {
    this.wrong = ''
    try { this.wanted = searching(source, options) } catch (error) {
      if (!(error instanceof PatternError)) throw error
      this.wanted = null
      this.wrong = error.message
    }
    this.round++
    this.hit = null
    this.list.el.classList.toggle('searching', Boolean(this.wanted) && this.mode === 'mark')
    this.apply(() => { if (this.hits.length && this.mode === 'mark') this.step(-1) })
  }

  as(mode) {
    this.mode = mode
    this.list.el.classList.toggle('searching', Boolean(this.wanted) && mode === 'mark')
    this.apply()
  }

  /** Goes to the next match (1) or the one before (-1), to the last one at first. */
  step(by) {
    if (!this.hits.length) return
    const at = this.hit ? this.hits.indexOf(this.hit) : by < 0 ? 0 : -1
    this.hit = this.hits[(at + by + this.hits.length) % this.hits.length]
    this.at = null
    const index = this.list.items.indexOf(this.hit)
    if (index >= 0) this.list.reveal(index)
    this.tell()
  }

  /** Paints the matches in view through the Highlight API: the rows' nodes stay as they are. */
  mark(rows) {
    const ranges = [], keys = [], wanted = this.mode === 'not' ? null : this.wanted
    if (this.numbered) this.number()
    for (const [item, el] of rows) {
      if (this.numbered && !item.gap) el.children[1].dataset.no = item.no
      const hit = Boolean(wanted) && this.finds(item)
      keys.push(...keysOf(item, el))
      el.classList.toggle('hit', hit)
      el.classList.toggle('at', item === (this.at ?? this.hit))
      if (hit) rangesIn(el.querySelector('.msg'), pieces(wanted, item.text.slice(0, 4000)), ranges)
    }
    paint('key', keys, 0)
    paint('hit', ranges, 1)
  }
}

function paint(name, ranges, priority) {
  if (!ranges.length || !window.Highlight) { CSS.highlights?.delete(name); return }
  CSS.highlights.set(name, Object.assign(new Highlight(...ranges), { priority }))
}

/** Pieces of a text, as ranges of the nodes that show it. */
function rangesIn(el, found, ranges) {
  const walker = document.createTreeWalker(el, NodeFilter.SHOW_TEXT)
  let start = 0, node = walker.nextNode()
  const point = at => {
    while (node && start + node.length < at) { start += node.length; node = walker.nextNode() }
    return node && at - start
  }
  for (const [from, to] of found) {
    const range = new Range(), a = point(from)
    if (a === null) return
    range.setStart(node, a)
    const b = point(to)
    if (b === null) return
    range.setEnd(node, b)
    ranges.push(range)
  }
}
