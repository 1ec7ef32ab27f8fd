// What came over the socket, as lines: numbered, without repetition, with a level, and what makes up one row.
import { isSpecial, nodes, parse } from './ansi.js'

const LEVEL = /\b(?:(FATAL|PANIC|CRITICAL|CRIT|EMERG|ALERT|ERROR|ERR|SEVERE)|(WARNING|WARN|WRN)|(INFO|INF|NOTICE)|(DEBUG|DBG|TRACE|TRC))\b/
const NAMED = /(?:"?(?:level|lvl|severity)"?\s*[=:]\s*"?|\[)(?:(fatal|panic|critical|crit|emerg|alert|error|err)|(warning|warn)|(info|notice)|(debug|trace))\b/i
const FIRST = /^\W*(?:(error|fatal|panic|traceback|exception|uncaught|unhandled)|(warning|warn))\b[: (]/i
const LEVELS = ['err', 'wrn', 'inf', 'dbg']
const KEYS = /([A-Za-z_][\w.-]{0,40}=(?=\S)|"[\w.-]{1,40}":)/
export const WORDS = { err: 'ERR', wrn: 'WRN', inf: 'INF', dbg: 'DBG' }

/** err, wrn, inf, dbg, or empty where a line does not say. */
export function levelOf(text) {
  const head = text.slice(0, 240)
  for (const pattern of [NAMED, LEVEL, FIRST]) {
    const found = pattern.exec(head)
    if (found) return LEVELS[found.slice(1).findIndex(Boolean)]
  }
  return ''
}

/** One container's lines: takes frames, gives items. */
export class Source {
  constructor(id, name, number, alone) {
    this.id = id
    this.name = name
    this.colour = `s${number % 6 + 1}`
    this.alone = alone
    this.epoch = 0
    this.seq = 0
    this.marks = {} // stream → {ns, n}: the time of its last line, and how many had exactly that
    this.resuming = null
    this.styles = {} // stream → the colours that its next line begins with
    this.before = {} // stream → its last line, for lines that belong to an error before them
    this.state = ''
    this.detail = ''
  }

  get cursor() { return this.epoch ? `${this.id}:${this.epoch}:${this.seq}` : '' }

  /** Numbers began again: until a line comes that is new, what comes is compared by its time. */
  restarted() { this.resuming = { marks: structuredClone(this.marks), overlap: false } }

  take(frame) {
    const items = []
    if (frame.epoch !== this.epoch) { this.epoch = frame.epoch; this.seq = 0 }
    for (const [seq, , ns, stream, text] of frame.lines) {
      if (seq <= this.seq) continue
      this.seq = seq
      if (stream === 0) { items.push({ ...note(text, this), quiet: false }); continue }
      if (this.resuming && this.had(stream, ns)) { this.resuming.overlap = true; continue }
      if (this.resuming) {
        if (!this.resuming.overlap && Object.keys(this.resuming.marks).length) items.push(gap(null, this))
        this.resuming.overlap = true
        delete this.resuming.marks[stream]
        if (!Object.keys(this.resuming.marks).length) this.resuming = null
      }
      const mark = this.marks[stream]
      this.marks[stream] = { ns, n: mark?.ns === ns ? mark.n + 1 : 1 }
      items.push(this.item(ns, stream, text))
    }
    return items
  }

  had(stream, ns) {
    const mark = this.resuming.marks[stream]
    if (!mark) return false
    if (ns.length !== mark.ns.length ? ns.length < mark.ns.length : ns < mark.ns) return true
    return ns === mark.ns && mark.n-- > 0
  }

  item(ns, stream, text) {
    const style = this.styles[stream], special = style || isSpecial(text)
    let plain = text
    if (special) {
      const parsed = parse(text, style)
      plain = parsed.runs.map(run => run.text).join('')
      this.styles[stream] = parsed.style.fg === null && parsed.style.bg === null && !parsed.style.flags ? undefined : parsed.style
    }
    const before = this.before[stream], level = levelOf(plain)
    // A stack trace is indented: it belongs to the error it follows.
    const cont = !level && /^\s+\S|^Caused by:/.test(plain) && (before?.level === 'err')
    const line = { text: plain, raw: special ? text : null, style, ms: Number(ns.slice(0, -6)), ns, stream, level: cont ? 'err' : level, cont, source: this, h: 0 }
    this.before[stream] = line
    return line
  }
}

/** A row that says what is missing. */
export const gap = (lines, source) => ({ gap: true, source, h: 0, text: lines === null
  ? 'Lines may be missing here: the log was read anew'
  : `${lines.toLocaleString('en').replaceAll(',', ' ')} ${lines === 1 ? 'line' : 'lines'} skipped, load` })

/** A row that says what happened to the container or the connection. */
export const note = (text, source = null) => ({ gap: true, quiet: true, source, text, h: 0 })

const pad = (n, width = 2) => String(n).padStart(width, '0')
export function clock(ms) {
  const at = new Date(ms)
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`
}

function element(name, className, ...inside) {
  const el = document.createElement(name)
  if (className) el.className = className
  el.append(...inside)
  return el
}

/** Names of values step back, so that the values are read first. */
function message(text) {
  // Every second piece is what the pattern has caught.
  return text.split(KEYS).map((piece, i) => i % 2 ? element('span', 'k', piece) : new Text(piece))
}

/** The row of an item. */
export function row(item) {
  if (item.gap) return element('div', `ln gap${item.quiet ? ' quiet' : ''}`, element('span', 'msg', item.text))
  const { source, stream, level } = item, err = stream === 2
  const time = element('time', '', clock(item.ms))
  time.dateTime = new Date(item.ms).toISOString()
  const name = source.alone ? (err ? 'stderr' : 'stdout') : source.name
  const gutter = element('span', 'gut', element('i'), element('b', '', name))
  const text = item.raw === null ? message(item.text) : nodes(item.raw, item.style)
  const colour = source.alone ? (err ? 's3' : 's1') : source.colour
  return element('div', `ln ${level || 'inf'} ${colour}${item.cont ? ' cont' : ''}${err ? ' se' : ''}`,
    time, gutter, element('span', 'lvl', item.cont ? '' : WORDS[level] ?? ''), element('span', 'msg', ...text))
}
