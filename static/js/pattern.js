// Patterns that cannot run away: what RE2 promises, in the page. A browser's own RegExp tries one way after another,
// and a pattern such as (a+)+$ then takes for ever; here all ways are walked side by side (Thompson, Pike), so that
// the time is the length of the text times the length of the pattern, whatever both of them are.
//
// Understood: what RE2 and a log need: . [] [[:alpha:]] \d \w \s \pL \b ^ $ groups | * + ? {n,m} and (?i).
// Refused with a reason: references back and looking around, which cannot be had in that time.
import { tr } from './texts.js'
const MOST = 400, LONGEST = 256
const CHAR = 0, SPLIT = 1, JUMP = 2, LOOK = 3, MATCH = 4
const POSIX = {
  alpha: 'a-zA-Z', digit: '0-9', alnum: '0-9A-Za-z', upper: 'A-Z', lower: 'a-z', space: '\t\n\v\f\r ', punct: '!-/:-@[-`{-~',
  xdigit: '0-9A-Fa-f', word: '0-9A-Za-z_', blank: '\t ', cntrl: '\0-\x1f\x7f-\x7f', print: ' -~', graph: '!-~', ascii: '\0-\x7f',
}
const ESCAPES = { t: 9, n: 10, v: 11, f: 12, r: 13, a: 7 }

/** Says what is wrong with a pattern. */
export class PatternError extends Error {}
const isWord = c => (c >= 48 && c <= 57) || (c >= 65 && c <= 90) || c === 95 || (c >= 97 && c <= 122)
const isDigit = c => c >= 48 && c <= 57
const isSpace = c => c === 32 || (c >= 9 && c <= 13)

/** A test for one character, with an answer ready for ASCII. */
function set(test) {
  const low = new Uint8Array(128)
  for (let c = 0; c < 128; c++) low[c] = test(c) ? 1 : 0
  return c => c < 128 ? low[c] === 1 : test(c)
}

function folded(test) {
  return c => {
    if (test(c)) return true
    const text = String.fromCodePoint(c), low = text.toLowerCase(), up = text.toUpperCase()
    return (low.length <= 2 && test(low.codePointAt(0))) || (up.length <= 2 && test(up.codePointAt(0)))
  }
}

/** Text → a tree of nodes. */
class Parser {
  constructor(text) { this.text = [...text]; this.at = 0; this.fold = false; this.depth = 0 }
  get here() { return this.text[this.at] }
  eat(what) { const is = this.text.slice(this.at, this.at + what.length).join('') === what; if (is) this.at += what.length; return is }
  fail(why) { throw new PatternError(why) }

  all() {
    const tree = this.choice()
    if (this.here === ')') this.fail(tr('A ) without its ('))
    return tree
  }

  choice() {
    const ways = [this.row()]
    while (this.eat('|')) ways.push(this.row())
    return ways.length > 1 ? { ways } : ways[0]
  }

  row() {
    const row = []
    while (this.at < this.text.length && this.here !== '|' && this.here !== ')') {
      const one = this.repeated(this.atom())
      if (one) row.push(one)
    }
    return { row }
  }

  repeated(one) {
    for (let twice = 0; ; twice++) {
      const [least, most] = this.count()
      if (least < 0) return one
      if (!one || twice) this.fail(tr('Nothing to repeat here'))
      one = { one, least, most, lazy: this.eat('?') }
    }
  }

  count() {
    if (this.eat('*')) return [0, Infinity]
    if (this.eat('+')) return [1, Infinity]
    if (this.eat('?')) return [0, 1]
    const found = /^\{(\d{1,4})(,(\d{0,4}))?\}/.exec(this.text.slice(this.at, this.at + 12).join(''))
    if (!found) return [-1, 0]
    this.at += found[0].length
    const least = Number(found[1]), most = !found[2] ? least : found[3] ? Number(found[3]) : Infinity
    if (least > 1000 || (most > 1000 && most !== Infinity) || most < least) this.fail(tr('A repetition is of 0 to 1000 times'))
    return [least, most]
  }

  atom() {
    const c = this.text[this.at++]
    if (c === '(') return this.group()
    if (c === '[') return this.bracket()
    if (c === '.') return this.chars(x => x !== 10)
    if (c === '^') return { look: 'begin' }
    if (c === '$') return { look: 'end' }
    if (c === '\\') return this.escape()
    if (c === '*' || c === '+' || c === '?') this.fail(tr('Nothing to repeat here'))
    return this.literal(c.codePointAt(0))
  }

  literal(code) { return this.chars(x => x === code) }
  chars(test) { return { chars: set(this.fold ? folded(test) : test) } }

  group() {
    const fold = this.fold
    if (++this.depth > 100) this.fail(tr('Too many groups in one another'))
    if (this.eat('?')) {
      if (/[=!]/.test(this.here ?? '') || (this.here === '<' && /[=!]/.test(this.text[this.at + 1] ?? ''))) this.fail(tr('Looking ahead or behind is not part of RE2'))
      const named = /^P?<\w+>/.exec(this.text.slice(this.at, this.at + 60).join(''))
      if (named) this.at += named[0].length
      else {
        const flags = /^([a-zA-Z]*)(?:-([a-zA-Z]*))?([:)])/.exec(this.text.slice(this.at, this.at + 12).join(''))
        if (!flags || /[^imsU]/.test(flags[1] + (flags[2] ?? ''))) this.fail(tr('This kind of group is not known'))
        this.at += flags[0].length
        if (flags[1].includes('i')) this.fold = true
        if (flags[2]?.includes('i')) this.fold = false
        if (flags[3] === ')') { this.depth--; return null }
      }
    }
    const tree = this.choice()
    if (!this.eat(')')) this.fail(tr('A ( without its )'))
    this.fold = fold
    this.depth--
    return tree
  }

  escape() {
    const c = this.text[this.at]
    if (c === undefined) this.fail(tr('A \\ at the end'))
    if (/[1-9]/.test(c)) this.fail(tr('References back such as \\1 are not part of RE2'))
    const look = { b: 'word', B: 'inside', A: 'begin', z: 'end' }[c]
    if (look) { this.at++; return { look } }
    return this.chars(this.escaped())
  }

  /** After a backslash: a test for one character. */
  escaped() {
    const c = this.text[this.at++], code = c.codePointAt(0)
    const kind = { d: isDigit, w: isWord, s: isSpace }[c.toLowerCase()]
    if (kind) return c === c.toLowerCase() ? kind : x => !kind(x)
    if (c === 'p' || c === 'P') return this.property(c === 'P')
    if (c === 'x') {
      const found = /^(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{2}))/.exec(this.text.slice(this.at, this.at + 8).join(''))
      if (!found) this.fail(tr('\\x is followed by two digits'))
      this.at += found[0].length
      const wanted = parseInt(found[1] ?? found[2], 16)
      return Object.assign(x => x === wanted, { code: wanted })
    }
    if (/[a-zA-Z0-9]/.test(c) && !(c in ESCAPES)) this.fail(tr('{what} is not known', { what: `\\${c}` }))
    const wanted = ESCAPES[c] ?? code
    return Object.assign(x => x === wanted, { code: wanted })
  }

  property(not) {
    const found = /^(?:\{\^?([A-Za-z_]{1,30})\}|([A-Z]))/.exec(this.text.slice(this.at, this.at + 34).join(''))
    if (!found) this.fail(tr('\\p is followed by a class such as L or {Greek}'))
    this.at += found[0].length
    const name = found[1] ?? found[2]
    let test
    try { test = new RegExp(`^\\p{${name}}$`, 'u') } catch {
      try { test = new RegExp(`^\\p{Script=${name}}$`, 'u') } catch { this.fail(tr('The class {name} is not known', { name })) }
    }
    const turned = not !== found[0].startsWith('{^')
    return x => test.test(String.fromCodePoint(x)) !== turned
  }

  bracket() {
    const not = this.eat('^'), tests = []
    for (let first = true; first || this.here !== ']'; first = false) {
      if (this.at >= this.text.length) this.fail(tr('A [ without its ]'))
      const posix = /^\[:(\^?)(\w+):\]/.exec(this.text.slice(this.at, this.at + 14).join(''))
      if (posix) {
        const inside = POSIX[posix[2]]
        if (!inside) this.fail(tr('The class {name} is not known', { name: posix[2] }))
        this.at += posix[0].length
        const test = listed(inside)
        tests.push(posix[1] ? x => !test(x) : test)
        continue
      }
      const [from, test] = this.inBracket()
      if (from >= 0 && this.here === '-' && this.text[this.at + 1] !== ']' && this.text[this.at + 1] !== undefined) {
        this.at++
        const [to] = this.inBracket()
        if (to < from) this.fail(tr('A range runs backwards'))
        tests.push(x => x >= from && x <= to)
      } else tests.push(test)
    }
    this.at++
    // What is not in it is so in both cases of a letter.
    const any = x => tests.some(test => test(x)), inside = this.fold ? folded(any) : any
    return { chars: set(not ? x => !inside(x) : inside) }
  }

  inBracket() {
    if (this.eat('\\')) {
      if (this.at >= this.text.length) this.fail(tr('A \\ at the end'))
      const test = this.escaped()
      return [test.code ?? -1, test]
    }
    const code = this.text[this.at++].codePointAt(0)
    return [code, x => x === code]
  }
}

/** `a-z0-9_` → a test. */
function listed(text) {
  const ranges = []
  for (let i = 0; i < text.length; i++) {
    const from = text.charCodeAt(i), range = text[i + 1] === '-' && i + 2 < text.length
    ranges.push([from, range ? text.charCodeAt(i + 2) : from])
    if (range) i += 2
  }
  return x => ranges.some(([from, to]) => x >= from && x <= to)
}

/** A tree → instructions. */
function compile(tree) {
  const ops = [], x = [], y = []
  const put = (op, a = 0, b = 0) => {
    if (ops.length >= MOST) throw new PatternError(tr('The pattern is too large: repeat fewer times'))
    x[ops.length] = a
    y[ops.length] = b
    return ops.push(op) - 1
  }
  const emit = node => {
    if (node.chars) put(CHAR, node.chars)
    else if (node.look) put(LOOK, node.look)
    else if (node.row) node.row.forEach(emit)
    else if (node.ways) {
      const ends = []
      node.ways.forEach((way, i) => {
        if (i === node.ways.length - 1) { emit(way); return }
        const split = put(SPLIT)
        x[split] = split + 1
        emit(way)
        ends.push(put(JUMP))
        y[split] = ops.length
      })
      for (const end of ends) x[end] = ops.length
    } else repeat(node)
  }
  const maybe = (node, loops) => {
    const split = put(SPLIT), inside = split + 1
    emit(node.one)
    if (loops) put(JUMP, split)
    ;[x[split], y[split]] = node.lazy ? [ops.length, inside] : [inside, ops.length]
  }
  const repeat = node => {
    for (let i = 0; i < node.least; i++) emit(node.one)
    if (node.most === Infinity) maybe(node, true)
    else for (let i = node.least; i < node.most; i++) maybe(node, false)
  }
  emit(tree)
  put(MATCH)
  return { ops, x, y }
}

const before = (text, at) => at > 0 ? text.charCodeAt(at - 1) : -1
function looks(kind, text, at) {
  if (kind === 'begin') return at === 0
  if (kind === 'end') return at === text.length
  const edge = isWord(before(text, at)) !== (at < text.length && isWord(text.charCodeAt(at)))
  return kind === 'word' ? edge : !edge
}

/** A pattern, ready. Raises `PatternError`. */
export class Pattern {
  constructor(source, { cased = false, whole = false } = {}) {
    if (source.length > LONGEST) throw new PatternError(tr('A pattern has at most {n} characters', { n: LONGEST }))
    const parser = new Parser(source)
    parser.fold = !cased
    const tree = parser.all()
    Object.assign(this, compile(whole ? { row: [{ look: 'word' }, tree, { look: 'word' }] } : tree))
    const n = this.ops.length
    this.lists = [0, 1].map(() => ({ size: 0, at: new Int32Array(n), from: new Int32Array(n) }))
    this.seen = new Int32Array(n).fill(-1)
    this.stack = new Int32Array(2 * n + 2)
    this.round = 0
    this.first = this.firsts()
  }

  /** What a match can begin with, as a table for ASCII; null where it may be empty. */
  firsts() {
    const table = new Uint8Array(128), todo = [0], seen = new Set()
    while (todo.length) {
      const i = todo.pop()
      if (seen.has(i)) continue
      seen.add(i)
      if (this.ops[i] === MATCH) return null
      if (this.ops[i] === CHAR) { for (let c = 0; c < 128; c++) if (this.x[i](c)) table[c] = 1 }
      else if (this.ops[i] === LOOK) todo.push(i + 1)
      else { todo.push(this.x[i]); if (this.ops[i] === SPLIT) todo.push(this.y[i]) }
    }
    return table
  }

  test(text) { return this.find(text, 0, true) !== null }

  /** `[from, to]` of the first match from there on, or null. */
  find(text, start = 0, any = false) {
    let [now, next] = this.lists, found = null
    now.size = 0
    for (let at = start; at <= text.length;) {
      if (!now.size && this.first) {
        while (at < text.length) { const c = text.charCodeAt(at); if (c >= 128 || this.first[c]) break; at++ }
        if (at >= text.length && found === null) return null
      }
      // Each step a new round, in which an instruction is entered once: by the way that comes first.
      if (!now.size) this.round++
      if (!found) this.enter(now, 0, at, at, text)
      if (!now.size) { if (found) return found; at++; continue }
      const code = at < text.length ? text.codePointAt(at) : -1, after = at + (code > 0xffff ? 2 : 1)
      this.round++
      next.size = 0
      for (let i = 0; i < now.size; i++) {
        const pc = now.at[i]
        if (this.ops[pc] === MATCH) { found = [now.from[i], at]; if (any) return found; break }
        if (code >= 0 && this.x[pc](code)) this.enter(next, pc + 1, now.from[i], after, text)
      }
      ;[now, next] = [next, now]
      at = after
      if (!now.size && found) return found
    }
    return found
  }

  enter(list, pc, from, at, text) {
    const { ops, x, y, seen, stack, round } = this
    let top = 0
    stack[top++] = pc
    while (top) {
      const i = stack[--top]
      if (seen[i] === round) continue
      seen[i] = round
      const op = ops[i]
      if (op === JUMP) stack[top++] = x[i]
      else if (op === SPLIT) { stack[top++] = y[i]; stack[top++] = x[i] }
      else if (op === LOOK) { if (looks(x[i], text, at)) stack[top++] = i + 1 }
      else { list.at[list.size] = i; list.from[list.size++] = from }
    }
  }
}

/** Plain text, with the same two questions. */
class Plain {
  constructor(source, { cased = false, whole = false } = {}) {
    this.term = cased ? source : source.toLowerCase()
    this.cased = cased
    this.whole = whole
  }

  test(text) { return this.whole ? this.find(text) !== null : (this.cased ? text : text.toLowerCase()).includes(this.term) }

  find(text, start = 0) {
    const low = this.cased ? text : text.toLowerCase()
    for (let at = start - 1; (at = low.indexOf(this.term, at + 1)) >= 0;) {
      const end = at + this.term.length
      if (!this.whole || (looks('word', low, at) && looks('word', low, end))) return [at, Math.min(end, text.length)]
    }
    return null
  }
}

/** What is searched for, or null for nothing. Raises `PatternError`. */
export const searching = (source, options = {}) => !source ? null : options.regex ? new Pattern(source, options) : new Plain(source, options)

/** At most `most` pieces of a text that match, as `[from, to]`. */
export function pieces(wanted, text, most = 200) {
  const found = []
  for (let at = 0, one; found.length < most && at <= text.length && (one = wanted.find(text, at)); at = Math.max(one[1], at + 1)) {
    if (one[1] > one[0]) found.push(one)
  }
  return found
}
