// One item as a row of the page. Text nodes only: what a program writes is never markup.
import { nodes } from './ansi.js'
import { WORDS, clock, grouped, rest } from './loglines.js'
import { plural, tr } from './texts.js'

const KEYS = /[A-Za-z_][\w.-]{0,40}=(?=\S)|"[\w.-]{1,40}":/g
const MOST_KEYS = 40
/** Characters of a line that are shown before somebody asks for the rest. */
const FOLD = 2000
/** Characters of one line that are shown at most: what is longer is downloaded. */
const MOST = 262144

function element(name, className, ...inside) {
  const el = document.createElement(name)
  if (className) el.className = className
  el.append(...inside)
  return el
}

function button(act, words, label) {
  const el = element('button', `ln-${act}`, words)
  el.type = 'button'
  el.dataset.line = act
  if (label) el.setAttribute('aria-label', label)
  return el
}

/** JSON in a line, from its first brace on; undefined where there is none. */
export function json(text) {
  const at = text.search(/[[{]/)
  if (at < 0 || text.length - at < 2 || text.length > MOST) return undefined
  try { const found = JSON.parse(text.slice(at)); return typeof found === 'object' && found !== null ? found : undefined } catch { return undefined }
}

/** Whether a line may hold JSON: looked at for every row, so without reading it. */
export const looksJson = text => { const last = text.charCodeAt(text.length - 1); return (last === 125 || last === 93) && /[[{]\s*(?:"|\{|\[|[\d\]}])/.test(text.slice(0, 400)) }

const STRING = /("(?:[^"\\]|\\.)*"(?=:))/
function pretty(value) {
  const text = JSON.stringify(value, null, 2)
  return element('pre', 'ln-json', ...text.split(STRING).map((piece, i) => i % 2 ? element('span', 'k', piece) : new Text(piece)))
}

/** What stands below an open line. */
function opened(item) {
  const found = json(item.whole ?? item.text)
  return found === undefined ? null : pretty(found)
}

function text(item) {
  if (item.whole !== null) return nodes(item.whole.slice(0, MOST))
  if (item.text.length > FOLD && !item.open) return [new Text(item.text.slice(0, FOLD)), '… ']
  return item.raw === null ? [new Text(item.text)] : nodes(item.raw, item.style)
}

/** What a line too long to be shown offers. */
function more(item) {
  if (item.whole !== null) return item.whole.length > MOST ? [element('span', 'ln-note', plural(item.whole.length - MOST, '… {n} character more: download the log for them', '… {n} characters more: download the log for them', { n: grouped(item.whole.length - MOST) }))] : []
  if (item.text.length > FOLD && !item.open) return [button('open', plural(item.text.length - FOLD, 'Show {n} more character', 'Show {n} more characters', { n: grouped(item.text.length - FOLD) }))]
  return item.cut ? [rest(item), button('whole', tr('Show the whole line'))] : []
}

function gapRow(item) {
  const row = element('div', `ln gap${item.quiet ? ' quiet' : ''}`, element('span', 'msg', item.text))
  if (item.hole) row.firstChild.append(' ', button('more', tr('Load more')))
  return row
}

/** A line that is nothing but one: its row can be written over that of another such line. */
const isPlain = item => item.raw === null && !item.parts && item.text.length <= FOLD && item.whole === null && !item.cut && !looksJson(item.text)

const BLANK = document.createElement('template')
BLANK.content.append(element('div', 'ln', element('time'), element('span', 'gut', element('i'), element('b', '', ' ')), element('span', 'lvl'), element('span', 'msg', ' ')))

/** Fields of a line of JSON that the reader has picked, as columns before its message. */
function columns(cells) {
  return element('span', 'flds', ...cells.map(([name, text]) => {
    const cell = element('span', '', text)
    cell.title = `${name}: ${text}`
    return cell
  }))
}

/** The row of an item: `old` written anew where both are plain. `fields` knows the columns. */
export function row(item, old, fields) {
  if (item.gap) return gapRow(item)
  const plain = isPlain(item), el = plain && old?.plain ? old : BLANK.content.firstChild.cloneNode(true)
  const [time, gutter, word, inside] = el.children, { source, stream, level } = item, err = stream === 2, cont = item.head !== null
  const colour = source.alone ? (err ? 's3' : 's1') : source.colour, name = `ln ${level || 'inf'} ${colour}${cont ? ' cont' : ''}${err ? ' se' : ''}`
  if (el.className !== name) el.className = name
  el.plain = plain
  time.textContent = clock(item.ms)
  gutter.lastChild.firstChild.data = source.alone ? (err ? 'stderr' : 'stdout') : source.name
  word.textContent = cont ? '' : WORDS[level] ?? ''
  if (plain) inside.firstChild.data = item.text
  else {
    inside.replaceChildren(...text(item), ...more(item))
    const cells = fields.cells(item)
    if (cells) inside.before(columns(cells))
    finish(el, item, word, inside)
  }
  el.keys = null
  el.message = inside
  return el
}

/** What hangs on some lines: a fold, a formatted copy. */
function finish(el, item, word, inside) {
  const opens = looksJson(item.text)
  if (item.parts || opens) {
    const fold = button(item.parts ? 'fold' : 'open', '', item.parts ? tr('Lines of this trace: {n}', { n: item.parts }) : tr('Formatted'))
    fold.classList.add('ln-turn')
    fold.setAttribute('aria-expanded', item.parts ? !item.folded : item.open)
    word.append(fold)
    if (item.folded) inside.append(element('span', 'ln-note', ` + ${plural(item.parts, '{n} line', '{n} lines', { n: grouped(item.parts) })}`))
  }
  if (item.open && opens) { const below = opened(item); if (below) el.append(below) }
}

/** Names of values in a row: they step back, so that the values are read first. Painted, and no elements of their own. */
export function keysOf(item, el) {
  if (item.gap || item.raw !== null) return []
  if (el.keys) return el.keys
  const node = el.message.firstChild, found = []
  for (const match of node?.data?.matchAll(KEYS) ?? []) {
    if (found.push(new StaticRange({ startContainer: node, startOffset: match.index, endContainer: node, endOffset: match.index + match[0].length })) === MOST_KEYS) break
  }
  return el.keys = found
}
