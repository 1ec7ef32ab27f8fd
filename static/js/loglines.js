// What came over the socket or was asked for, as lines: numbered, without repetition, with a level and a place in time.
import { isSpecial, parse } from './ansi.js'
import { Trace } from './traces.js'
import { plural, tr } from './texts.js'
import { shown } from './zone.js'

const LEVEL = /\b(?:(FATAL|PANIC|CRITICAL|CRIT|EMERG|ALERT|ERROR|ERR|SEVERE)|(WARNING|WARN|WRN)|(INFO|INF|NOTICE)|(DEBUG|DBG|TRACE|TRC))\b/
const NAMED = /(?:"?(?:level|lvl|severity|log\.level|levelname)"?\s*[=:]\s*"?|\[)(?:(fatal|panic|critical|crit|emerg|alert|error|err)|(warning|warn)|(info|information|notice)|(debug|trace|verbose))\b/i
const NUMBERED = /"level":\s?(?:([56]0)|(40)|(30)|([12]0))\b/
const FIRST = /^\W*(?:(error|fatal|panic|traceback|exception|uncaught|unhandled|(?:[\w$]+\.)*[A-Z]\w*(?:Error|Exception))|(warning|warn)|(info|notice|log)|(debug))\b[: (]/i
const LEVELS = ['err', 'wrn', 'inf', 'dbg']
export const WORDS = { err: 'ERR', wrn: 'WRN', inf: 'INF', dbg: 'DBG' }
/** Characters of a line that the page keeps; the whole of it is asked for. The socket cuts so too, and says how much. */
export const LONGEST = 16384
const CUT = /… \((\d+) more characters\)$/

/** A line as it came → what the page keeps of it, and how many characters are left out. */
function short(text) {
  if (text.length <= LONGEST) return [text, 0]
  const cut = CUT.exec(text)
  return cut ? [text.slice(0, cut.index), Number(cut[1])] : [text.slice(0, LONGEST), text.length - LONGEST]
}

/** What is said at the end of a line that is not whole. */
export const rest = item => plural(item.cut, '… ({n} more character)', '… ({n} more characters)', { n: grouped(item.cut) })

/** A line as text, as it is copied and downloaded. */
export const textOf = item => item.cut ? item.text + rest(item) : item.text
const GROUPED = 1000 // milliseconds after an error in which lines count as part of it

/** err, wrn, inf, dbg, or empty where a line does not say. */
export function levelOf(text) {
  const head = text.length > 240 ? text.slice(0, 240) : text
  for (const pattern of [NAMED, NUMBERED, LEVEL, FIRST]) {
    const found = pattern.exec(head)
    if (found) return LEVELS[found.slice(1).findIndex(Boolean)]
  }
  return ''
}

/** Nanoseconds as text → milliseconds with a fraction: what lines are ordered by. */
export const moment = ns => Number(ns) / 1e6

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
    this.streams = {} // stream → the colours its next line begins with, its last place in time, its trace
    this.last = 0
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
      if (this.resuming && this.had(stream, ns)) { this.resuming.overlap = true; continue }
      if (this.resuming) {
        if (!this.resuming.overlap && Object.keys(this.resuming.marks).length) items.push(gap({ lines: null, cause: 'restart' }, this))
        this.resuming.overlap = true
        delete this.resuming.marks[stream]
        if (!Object.keys(this.resuming.marks).length) this.resuming = null
      }
      const mark = this.marks[stream], n = mark?.ns === ns ? mark.n + 1 : 1
      this.marks[stream] = { ns, n }
      items.push(this.item(ns, stream, text, n))
    }
    return items
  }

  /** Lines that the socket sends before those that are kept for everybody; they come in many frames. */
  replayed(frame) {
    this.replay ??= { streams: {}, counted: {} }
    return this.past(frame.lines.map(([, , ns, stream, text]) => [stream, ns, text]), this.replay)
  }

  had(stream, ns) {
    const mark = this.resuming.marks[stream]
    if (!mark) return false
    if (ns.length !== mark.ns.length ? ns.length < mark.ns.length : ns < mark.ns) return true
    return ns === mark.ns && mark.n-- > 0
  }

  item(ns, stream, text, n) {
    const was = this.streams[stream] ??= { style: undefined, at: 0, trace: new Trace() }
    const line = lineOf(this, ns, stream, text, n, was)
    this.last = Math.max(this.last, line.at)
    return line
  }

  /** Lines of the past, `[stream, ns, text]` in their order: a reading of its own, beside the one that goes on. */
  past(rows, { streams, counted } = { streams: {}, counted: {} }) {
    return rows.map(([stream, ns, text]) => {
      const was = streams[stream] ??= { style: undefined, at: 0, trace: new Trace() }, seen = counted[stream]
      counted[stream] = { ns, n: seen?.ns === ns ? seen.n + 1 : 1 }
      return lineOf(this, ns, stream, text, counted[stream].n, was)
    })
  }
}

function lineOf(source, ns, stream, sent, n, was) {
  const [text, cut] = short(sent), style = was.style, special = style || isSpecial(text)
  let plain = text
  if (special) {
    const parsed = parse(text, style), next = parsed.style
    plain = parsed.runs.map(run => run.text).join('')
    was.style = next.fg === null && next.bg === null && !next.flags ? undefined : next
  }
  const ms = Number(ns.slice(0, -6))
  const line = {
    text: plain, raw: special ? text : null, style, ms, ns, n, at: moment(ns), stream, level: levelOf(plain), cut, no: 0, head: null,
    parts: 0, folded: false, open: false, whole: null, source, h: 0, era: 0, round: 0, hit: false, gone: false, gap: false,
  }
  const head = was.trace.join(line)
  if (head) {
    // A trace without a word of its level is one of an error all the same.
    if (!head.level) head.level = 'err'
    line.head = head
    line.level = head.level
    head.parts++
  }
  // No line stands before one that its stream has written earlier, even where the engine's clock was set back;
  // and those of one trace stay together, though another container writes in the same millisecond.
  line.at = Math.max(line.at, was.at)
  if (head && line.at - head.at < GROUPED) line.at = head.at
  else was.at = line.at
  return line
}

/** The part of a container's log that a permanent address names. */
export const anchor = item => `#${item.source.id}:${item.ns}:${item.n}`
export function anchored(hash) {
  const found = /^#([0-9a-f-]{36}):(\d{1,19}):(\d{1,6})$/.exec(hash)
  return found && { id: found[1], ns: found[2], n: Number(found[3]) }
}

export const grouped = n => n.toLocaleString('en').replaceAll(',', '\u202f')
const CAUSES = { load: tr('faster than they could be sent'), rotation: tr('the log file was rotated before they were read'), behind: tr('faster than the engine hands them out') }

const mark = (text, source, at, more) => ({ gap: true, quiet: false, text, source, at, no: 0, ms: NaN, h: 0, era: 0, gone: false, head: null, ...more })

/** A row that says what is missing, and why; at its place in time where that is known. */
export function gap({ lines, cause, from }, source) {
  const at = from ? moment(from) : source.last
  if (cause === 'restart') return mark(tr('Lines may be missing here: the log was read anew'), source, at)
  const why = CAUSES[cause] ?? cause ?? tr('not known why'), { name } = source
  if (typeof lines !== 'number') return mark(source.alone ? tr('Lines skipped: {why}', { why }) : tr('Lines skipped of {name}: {why}', { why, name }), source, at)
  const values = { n: grouped(lines), why, name }
  return mark(source.alone ? plural(lines, '{n} line skipped: {why}', '{n} lines skipped: {why}', values) : plural(lines, '{n} line skipped of {name}: {why}', '{n} lines skipped of {name}: {why}', values), source, at)
}

/** A row that says what happened to the container or the connection. */
export const note = (text, source = null) => mark(text, source, source?.last ?? Infinity, { quiet: true })

/** A row between lines that were asked for and those that follow much later; a click asks for more. */
export const hole = (source, last) => mark(source.alone ? tr('What it wrote after this is not in the page') : tr('What {name} wrote after this is not in the page', { name: source.name }), source, last.at, { quiet: true, hole: last })

export function clock(ms) {
  const { minute, second, milli } = shown(ms)
  return `${minute}:${second}.${milli}`
}
