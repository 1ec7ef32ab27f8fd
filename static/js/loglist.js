// A list of any number of lines with a constant number of rows in the page: those in view and a few around them.
//
// Rows are as high as one line while nothing wraps; when lines wrap, heights are guessed and then measured, and
// what the reader looks at stays where it is.
const AROUND = 12, END = 24

export class LogList {
  /** `make(item)` gives the row of an item; `changed(following)` is told when the reader leaves or reaches the end. */
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
    this.height = 20
    this.varying = false
    this.own = -1
    this.due = 0
    this.el.addEventListener('scroll', () => this.scrolled(), { passive: true })
    new ResizeObserver(() => this.remeasure()).observe(this.el)
  }

  /** Shows these items instead. */
  set(items) { this.items = items; this.forget(); this.draw() }

  /** Items were added behind, or taken away in front (`gone` of them). */
  changedBy(gone) {
    if (gone && !this.following) {
      const above = this.top(gone, this.before)
      this.jump(this.el.scrollTop - above)
    }
    this.draw()
  }

  /** Call it before items are taken away: heights of those in front are needed to keep the reader's place. */
  remember() { this.before = this.varying ? this.items.slice(0, 4000) : null }

  draw() { this.due ||= requestAnimationFrame(() => { this.due = 0; this.paint() }) }

  toEnd() { this.following = true; this.changed(true); this.draw() }

  /** Brings an item into the middle of the view. */
  reveal(index) {
    this.following = false
    this.changed(false)
    this.jump(Math.max(0, this.top(index) - this.el.clientHeight / 2))
    this.paint()
    // Heights around it may have been guesses.
    if (this.varying) { this.jump(Math.max(0, this.top(index) - this.el.clientHeight / 2)); this.paint() }
  }

  /** Makes every row again: they look different now. */
  remeasure() {
    this.forget()
    const style = getComputedStyle(this.el), phone = matchMedia('(max-width: 720px)').matches
    this.varying = phone || this.el.classList.contains('wrap')
    this.height = phone ? 42 : parseFloat(style.lineHeight) || 20
    this.columns = Math.max(20, Math.floor((this.el.clientWidth - 320) / (parseFloat(style.fontSize) * 0.6)))
    for (const item of this.items) item.h = 0
    this.draw()
  }

  forget() { for (const row of this.shown.values()) row.remove(); this.shown.clear() }

  guess(item) { return this.height * Math.max(1, Math.ceil((item.text?.length ?? 0) / this.columns)) }

  of(item) { return item.h ||= this.varying ? this.guess(item) : this.height }

  /** How far down the item at this place begins. */
  top(index, items = null) {
    if (!this.varying) return index * this.height
    let sum = 0
    for (let i = 0, all = items ?? this.items; i < index && i < all.length; i++) sum += this.of(all[i])
    return sum
  }

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
    const to = from + view
    if (!this.varying) return [Math.floor(from / this.height) - AROUND, Math.ceil(to / this.height) + AROUND]
    let first = -1, y = 0, i = 0
    for (; i < this.items.length && y <= to; i++) {
      y += this.of(this.items[i])
      if (first < 0 && y > from) first = i
    }
    return [(first < 0 ? i : first) - AROUND, i + AROUND]
  }

  paint() {
    for (let tries = 0; tries < 3; tries++) {
      const [a, b] = this.range(), last = Math.min(this.items.length, b), first = Math.max(0, Math.min(a, last))
      this.place(first, last)
      this.stretch(first, last)
      if (!this.varying || !this.measure(first, last)) break
    }
    if (this.following) this.jump(this.el.scrollHeight)
    this.painted?.(this.shown)
  }

  /** The space of the rows that are not in the page. */
  stretch(first, last) {
    this.rows.style.paddingTop = `${this.top(first)}px`
    this.rows.style.paddingBottom = `${this.top(this.items.length) - this.top(last)}px`
  }

  place(first, last) {
    const wanted = this.items.slice(first, last), keep = new Set(wanted)
    for (const [item, row] of this.shown) if (!keep.has(item)) { row.remove(); this.shown.delete(item) }
    let next = this.rows.firstChild
    for (const item of wanted) {
      let row = this.shown.get(item)
      if (!row) this.shown.set(item, row = this.make(item))
      if (row === next) next = next.nextSibling; else this.rows.insertBefore(row, next)
    }
  }

  /** True where a guess was wrong; what is above the view must not push it down. */
  measure(first, last) {
    let wrong = false, above = 0
    const view = this.el.scrollTop
    let y = this.top(first)
    for (let i = first; i < last; i++) {
      const item = this.items[i], is = this.shown.get(item).offsetHeight, was = this.of(item)
      if (is && is !== was) {
        wrong = true
        if (y + was <= view) above += is - was
        item.h = is
      }
      y += was
    }
    if (above && !this.following) { this.stretch(first, last); this.jump(view + above) }
    return wrong
  }
}
