// Fields of lines that are JSON: which there are, and which of them stand as columns before the message.
import { json, looksJson } from './logrow.js'

const LOOKED_AT = 2000, TAKES = 15 // lines, milliseconds: what a menu may cost
const MOST = 100, LONG = 200, DEEP = 2
const NARROW = 3, WIDE = 28 // characters of a column

/** Values of an object by name, those of objects in it too: `http.status`. */
function flat(value, found = new Map(), path = '', depth = 0) {
  for (const [key, one] of Object.entries(value)) {
    const name = path ? `${path}.${key}` : key
    if (one && typeof one === 'object' && !Array.isArray(one) && depth < DEEP) flat(one, found, name, depth + 1)
    else if (!found.has(name)) found.set(name, (typeof one === 'string' ? one : JSON.stringify(one)).slice(0, LONG))
  }
  return found
}

const fieldsOf = item => {
  const value = looksJson(item.text) ? json(item.text) : undefined
  return value === undefined || Array.isArray(value) ? null : flat(value)
}

export class Fields {
  /** `of`: whose they are; `changed()` is called when the columns look different. */
  constructor(of, changed) {
    this.key = `log-fields ${of}`
    this.changed = changed
    const kept = JSON.parse(localStorage.getItem(this.key) ?? '[]')
    this.widths = new Map(kept.map(name => [name, Math.max(NARROW, Math.min(WIDE, name.length))]))
  }

  get picked() { return [...this.widths.keys()] }

  /** How wide the columns are, for a grid. */
  get tracks() { return [...this.widths.values()].map(n => `${n}ch`).join(' ') }

  pick(name, on) {
    if (on) this.widths.set(name, Math.max(NARROW, Math.min(WIDE, name.length))); else this.widths.delete(name)
    if (this.widths.size) localStorage.setItem(this.key, JSON.stringify(this.picked)); else localStorage.removeItem(this.key)
    this.changed()
  }

  /** What stands in the columns of a line, `[name, text]`; null where none are picked or the line is no JSON. */
  cells(item) {
    const found = this.widths.size ? fieldsOf(item) : null
    if (!found) return null
    let wider = false
    const cells = this.picked.map(name => {
      const text = found.get(name) ?? '', n = Math.min(WIDE, text.length)
      if (n > this.widths.get(name)) { this.widths.set(name, n); wider = true }
      return [name, text]
    })
    if (wider) this.changed()
    return cells
  }

  /** Fields of the newest lines, by name, with a value of each; those that are picked too. */
  seen(items) {
    const found = new Map(), until = performance.now() + TAKES
    for (let i = items.length - 1, n = 0; i >= 0 && n < LOOKED_AT && found.size < MOST && performance.now() < until; i--, n++) {
      if (items[i].gap) continue
      for (const [name, text] of fieldsOf(items[i]) ?? []) if (!found.has(name) && found.size < MOST && name.length < LONG) found.set(name, text)
    }
    for (const name of this.picked) if (!found.has(name)) found.set(name, '')
    return new Map([...found].sort(([one], [other]) => one < other ? -1 : 1))
  }
}
