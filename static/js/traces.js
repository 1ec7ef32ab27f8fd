// Which lines belong to an error before them: stack traces of Java, Python, Go and Node, and whatever is indented
// below an error. What is asked for each line of each stream, so a line is looked at once and never again.

/** These lines are part of a trace, whatever stood before them. */
const PART = /^\s+at \S.*[(:\]]|^\s+File ".*", line \d|^\s*\.\.\. \d+ (?:more|common frames)|^\s*(?:Caused by|Suppressed): /
const INDENTED = /^\s+\S/
const JOINS = /^(?:Caused by: |Traceback \(most recent call last\):|During handling of the above|The above exception was)/
const THROWN = /^(?:[\w$]+\.)+[A-Z]\w*(?:Exception|Error|Throwable)\b/
/** The first line of a trace of its own, and of whose. */
const HEADS = [[/^Traceback \(most recent call last\):|^Exception in thread/, 'python'], [/^(?:panic: |fatal error: |goroutine \d+ \[)/, 'go']]
const GO = /^(?:goroutine \d+ \[|created by |exit status \d|\[signal |\t|[\w./*(){}·-]+\(.*\)$|$)/
const PYTHON_END = /^[\w.]*[A-Z]\w*(?:: |$)/
const NODE_END = /^(?:\}$|Node\.js v\d)/

/** One stream's place in a trace. */
export class Trace {
  constructor() { this.head = null; this.kind = ''; this.framed = false }

  /** The item that this line belongs to, or null: then it is the first of what may follow it. */
  join(item) {
    const { text } = item, before = this.head
    if (before && this.follows(text, before)) {
      if (PART.test(text)) this.framed = true
      const kind = HEADS.find(([pattern]) => pattern.test(text))?.[1]
      if (kind) { this.kind = kind; this.framed = false }
      return before
    }
    this.head = item
    this.kind = HEADS.find(([pattern]) => pattern.test(text))?.[1] ?? ''
    this.framed = false
    return null
  }

  follows(text, head) {
    if (PART.test(text)) return true
    const error = head.level === 'err'
    if (error && (INDENTED.test(text) || JOINS.test(text))) return true
    // "ERROR could not pay", and then what was thrown.
    if (error && !head.parts && THROWN.test(text) && !THROWN.test(head.text)) return true
    if (this.kind === 'go') return GO.test(text)
    if (this.kind === 'python' && text === '') return true
    if (this.kind === 'python' && this.framed && PYTHON_END.test(text)) { this.framed = false; return true }
    return error && this.framed && NODE_END.test(text)
  }
}
