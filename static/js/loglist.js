// A list of any number of lines with a constant number of rows in the page: those in view and a few around them.
//
// Rows are as high as one line while nothing wraps and none is open; otherwise heights are guessed and then measured,
// and what the reader looks at stays where it is.
import { Heights } from './heights.js'

const AROUND = 12, END = 24

export class LogList {
  /** `make(item, row)` gives the row of an item, perhaps that one written anew; `changed(following)` is told when the reader leaves or reaches the end. */
  constructor(scroller, make, changed, painted) {
    this.el = scroller
    this.make = make
    this.changed = changed
    this.painted = painted
    this.items = []
    this.following = true
    this.rows = document.createElement('div')
    this.rows.className = 'rows'
    this.el.replaceChildren(this.rows)
    this.shown = new Map() // item → row
    this.heights = new Heights()
    this.known = 0 // of how many items the heights are summed up; -1: none
    this.height = 20
    this.era = 1 // heights that were measured in another one count no more
    this.wraps = false
    this.open = 0 // rows that are higher than one line because the reader has opened them
    this.own = -1
    this.due = 0
    this.el.addEventListener('scroll', () => this.scrolled(), { passive: true })
    new ResizeObserver(() => this.resized()).observe(this.el)
  }

  get varying() { return this.wraps || this.open > 0 }

  /** Shows these items instead, with what the reader looks at in its place. */
  set(items) {
    const place = this.place()
    this.items = items
    this.known = -1
    this.restore(place)
    this.draw()
  }

  /** Items were added at the end, and nothing else has changed. */
  grown() { this.draw() }

  /** Where the reader is: to be asked before items move, and handed to `moved` after. */
  place() {
    if (this.following || !this.items.length) return null
    const index = Math.min(this.items.length - 1, this.at(this.el.scrollTop))
    return { near: this.items.slice(index, index + 200), index, off: this.el.scrollTop - this.top(index) }
  }

  /** Items were put in between or taken away. */
  moved(place) {
    this.known = -1
    this.restore(place)
    this.draw()
  }

  restore(place) {
    if (!place) return
    for (const item of place.near) {
      const index = this.items.indexOf(item)
      if (index < 0) continue
      this.stretch(index, index)
      this.jump(this.top(index) + (item === place.near[0] ? place.off : 0))
      return
    }
  }

  draw() { this.due ||= requestAnimationFrame(() => { this.due = 0; this.paint() }) }

  toEnd() { this.following = true; this.changed(true); this.draw() }

  /** Brings the item at that place into the middle of the view. */
  reveal(index) {
    this.following = false
    this.changed(false)
    // Heights around it may have been guesses.
    for (let tries = 0; tries < (this.varying ? 3 : 1); tries++) {
      const to = Math.max(0, this.top(index) - this.el.clientHeight / 2)
      this.stretch(Math.max(0, index - 1), index)
      this.jump(to)
      this.paint()
    }
  }

  /** The item looks different now: its row is made again. */
  again(item) {
    this.shown.get(item)?.remove()
    this.shown.delete(item)
    item.era = 0
    this.known = -1
    this.draw()
  }

  /** The list may have become wider or narrower, or a hidden one shown. */
  resized() { if (this.el.clientWidth !== this.width) this.remeasure(); else this.draw() }

  /** Makes every row again: they look different now. */
  remeasure() {
    const style = getComputedStyle(this.el), phone = matchMedia('(max-width: 720px)').matches, place = this.place()
    this.width = this.el.clientWidth
    this.forget()
    this.wraps = phone || this.el.classList.contains('wrap')
    this.height = phone ? 42 : parseFloat(style.lineHeight) || 20
    this.columns = Math.max(20, Math.floor((this.el.clientWidth - (phone ? 40 : 320)) / (parseFloat(style.fontSize) * 0.6)))
    this.era++
    this.known = -1
    this.restore(place)
    this.draw()
  }

  forget() { for (const row of this.shown.values()) row.remove(); this.shown.clear() }

  guess(item) { return this.wraps ? this.height * Math.max(1, Math.ceil(Math.min(2000, item.text.length) / this.columns)) : this.height }

  of(item) {
    if (item.era !== this.era) { item.era = this.era; item.h = this.guess(item) }
    return item.h
  }

  /** Brings the sums up to date. */
  sums() {
    const n = this.items.length
    if (this.known < 0 || this.known > n) this.heights.fill(this.items, item => this.of(item))
    else for (let i = this.known; i < n; i++) this.heights.push(this.of(this.items[i]))
    this.known = n
    return this.heights
  }

  /** How far down the item at this place begins. */
  top(index) { return this.varying ? this.sums().top(index) : index * this.height }

  /** The place of what is so far down. */
  at(y) { return this.varying ? this.sums().at(y) : Math.floor(Math.max(0, y) / this.height) }

  jump(y) { this.el.scrollTop = y; this.own = this.el.scrollTop }

  scrolled() {
    const atEnd = this.el.scrollHeight - this.el.scrollTop - this.el.clientHeight < END
    if (Math.abs(this.el.scrollTop - this.own) > 2 && atEnd !== this.following) { this.following = atEnd; this.changed(atEnd) }
    this.own = -1
    this.draw()
  }

  /** First and last place of what is in view, and some around it. */
  range() {
    const view = this.el.clientHeight, from = this.following ? Math.max(0, this.top(this.items.length) - view) : this.el.scrollTop
    return [this.at(from) - AROUND, this.at(from + view) + 1 + AROUND]
  }

  paint() {
    for (let tries = 0; tries < 3; tries++) {
      const [a, b] = this.range(), last = Math.min(this.items.length, b), first = Math.max(0, Math.min(a, last))
      this.put(first, last)
      this.stretch(first, last)
      if (!this.varying || !this.measure(first, last)) break
    }
    // First all that changes how it looks, then what makes the browser look: it does so once.
    this.painted?.(this.shown)
    if (this.following) this.jump(this.el.scrollHeight)
  }

  /** The space of the rows that are not in the page. */
  stretch(first, last) {
    this.rows.style.paddingTop = `${this.top(first)}px`
    this.rows.style.paddingBottom = `${this.top(this.items.length) - this.top(last)}px`
  }

  put(first, last) {
    const wanted = this.items.slice(first, last), keep = new Set(wanted)
    if (!wanted.some(item => this.shown.has(item))) { this.overwrite(wanted); return }
    for (const [item, row] of this.shown) if (!keep.has(item)) { row.remove(); this.shown.delete(item) }
    let next = this.rows.firstChild
    for (const item of wanted) {
      let row = this.shown.get(item)
      if (!row) this.shown.set(item, row = this.make(item))
      if (row === next) next = next.nextSibling; else this.rows.insertBefore(row, next)
    }
  }

  /** Nothing of what is shown stays: rows are written anew where they stand, which costs a browser much less. */
  overwrite(wanted) {
    const old = [...this.rows.children]
    this.shown.clear()
    wanted.forEach((item, i) => {
      const was = old[i], row = this.make(item, was)
      this.shown.set(item, row)
      if (!was) this.rows.append(row); else if (row !== was) was.replaceWith(row)
    })
    for (const row of old.slice(wanted.length)) row.remove()
  }

  /** True where a guess was wrong; what is above the view must not push it down. */
  measure(first, last) {
    let wrong = false, above = 0
    const view = this.el.scrollTop, tall = []
    for (let i = first; i < last; i++) tall.push(this.shown.get(this.items[i]).offsetHeight)
    let y = this.top(first)
    for (let i = first; i < last; i++) {
      const item = this.items[i], is = tall[i - first], was = this.of(item)
      if (is && is !== was) {
        wrong = true
        if (y + was <= view) above += is - was
        item.h = is
        this.heights.grow(i, is - was)
      }
      y += was
    }
    if (above && !this.following) { this.stretch(first, last); this.jump(view + above) }
    return wrong
  }
}
