// Colours of a terminal, and nothing else of it. Everything a program can write ends as text nodes.
//
// Kept: SGR, ESC [ … m (bold, dim, italic, underline, strike, inverse, 16, 256 and 24-bit colours).
// Dropped: every other CSI, OSC, DCS, APC, PM, SOS, C1 in both spellings, the other controls. A string that does not
// end swallows 4 KB at most. Marks that turn the direction of text around are shown as what they are.

const STRING = '(?:\\x1b[\\]PX^_]|[\\x90\\x98\\x9d\\x9e\\x9f])(?:(?!\\x07|\\x1b\\\\|\\x9c)[^]){0,4096}(?:\\x07|\\x1b\\\\|\\x9c)?'
const CSI = '(?:\\x1b\\[|\\x9b)[\\x20-\\x3f]*[\\x40-\\x7e]?'
const OTHER = '\\x1b[\\x20-\\x2f]*[\\x30-\\x7e]?|[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f]'
const BIDI = '[\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]'
const TOKEN = new RegExp(`(${STRING})|(${CSI})|(${OTHER})|(${BIDI})`, 'g')
const SPECIAL = new RegExp(`[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f]|${BIDI}`)
const TURNING = new RegExp(BIDI, 'g')
const SGR = /^(?:\x1b\[|\x9b)([0-9:;]*)m$/
const FLAGS = { 1: 'b', 2: 'dim', 3: 'i', 4: 'u', 7: 'inv', 9: 's' }
const PLAIN = Object.freeze({ fg: null, bg: null, flags: '' })

/** Text with the marks that turn it around shown as what they are, as pages show it. */
export const named = text => text.replace(TURNING, mark => `[U+${mark.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}]`)

/** Whether there is anything in it but text. */
export const isSpecial = text => SPECIAL.test(text)

/** The text alone: what is searched, copied and measured. */
export const stripped = text => isSpecial(text) ? parse(text).runs.map(run => run.text).join('') : text

const channel = n => Math.max(0, Math.min(255, n | 0))
function indexed(n) {
  if (n < 16) return n
  if (n < 232) { const at = v => v ? 55 + v * 40 : 0; n -= 16; return `rgb(${at(Math.floor(n / 36))} ${at(Math.floor(n / 6) % 6)} ${at(n % 6)})` }
  const grey = 8 + (n - 232) * 10
  return `rgb(${grey} ${grey} ${grey})`
}

/** A colour after 38 or 48, and where the numbers go on. */
function extended(numbers, i) {
  if (numbers[i] === 5 && numbers[i + 1] >= 0 && numbers[i + 1] < 256) return [indexed(numbers[i + 1]), i + 1]
  if (numbers[i] === 2 && numbers.length > i + 3) return [`rgb(${numbers.slice(i + 1, i + 4).map(channel).join(' ')})`, i + 3]
  return [null, numbers.length]
}

function colour(parameters, now) {
  const numbers = parameters.replaceAll(/(38|48):2::?/g, '$1;2;').split(/[;:]/).slice(0, 32).map(Number), next = { ...now }
  for (let i = 0; i < numbers.length; i++) {
    const n = numbers[i]
    if (n === 0) Object.assign(next, PLAIN)
    else if (FLAGS[n]) { if (!next.flags.split(' ').includes(FLAGS[n])) next.flags = `${next.flags} ${FLAGS[n]}`.trim() }
    else if (n >= 22 && n <= 29) {
      const gone = n === 22 ? ['b', 'dim'] : [FLAGS[n - 20]]
      next.flags = next.flags.split(' ').filter(flag => !gone.includes(flag)).join(' ')
    }
    else if (n >= 30 && n <= 37) next.fg = n - 30
    else if (n >= 40 && n <= 47) next.bg = n - 40
    else if (n >= 90 && n <= 97) next.fg = n - 82
    else if (n >= 100 && n <= 107) next.bg = n - 92
    else if (n === 39) next.fg = null
    else if (n === 49) next.bg = null
    else if (n === 38 || n === 48) { const [found, at] = extended(numbers, i + 1); next[n === 38 ? 'fg' : 'bg'] = found; i = at }
  }
  return next
}

/** `{runs: [{text, style}], style}`: pieces of one style, and the style the next line begins with. */
export function parse(text, style = PLAIN) {
  const runs = []
  let at = 0, returned = false
  const put = piece => {
    if (!piece) return
    // After a carriage return the line is written anew: what stood there is overwritten.
    if (returned) { runs.length = 0; returned = false }
    const last = runs.at(-1)
    if (last && last.style === style) last.text += piece; else runs.push({ text: piece, style })
  }
  for (const match of text.matchAll(TOKEN)) {
    put(text.slice(at, match.index))
    at = match.index + match[0].length
    const sgr = match[2] && SGR.exec(match[2])
    if (sgr) style = colour(sgr[1], style)
    else if (match[4]) put(named(match[4]))
    else if (match[3] === '\r') returned = true
  }
  put(text.slice(at))
  return { runs, style }
}

function paint(el, style) {
  const names = style.flags ? style.flags.split(' ').map(flag => `t-${flag}`) : []
  const inverse = style.flags.split(' ').includes('inv')
  for (const [part, value] of [[inverse ? 'bg' : 'fg', style.fg], [inverse ? 'fg' : 'bg', style.bg]]) {
    if (typeof value === 'number') names.push(`t-${part}${value}`)
    // Set by script, which the policy allows; the style sheet keeps it readable in both themes.
    else if (value) { names.push(`t-${part}`); el.style.setProperty(`--t-${part}`, value) }
  }
  el.className = names.join(' ')
}

/** Text nodes and spans of one line, ready to be appended. */
export function nodes(text, style = PLAIN) {
  if (style === PLAIN && !isSpecial(text)) return [new Text(text)]
  return parse(text, style).runs.map(run => {
    if (run.style === PLAIN || (run.style.fg === null && run.style.bg === null && !run.style.flags)) return new Text(run.text)
    const el = document.createElement('span')
    paint(el, run.style)
    el.textContent = run.text
    return el
  })
}
