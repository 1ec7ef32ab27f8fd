// The search of all that the engine still holds: what was found, how far it has come, and why it stopped.
import { $, onClick } from './dom.js'
import { short } from './histogram.js'
import { grouped } from './loglines.js'
import { search } from './logengine.js'
import { stripped } from './ansi.js'
import { plural, tr } from './texts.js'
import { shown as read } from './zone.js'

const MOST = 2000, LONG = 300
const far = (lines, matches) => ({ lines: plural(lines, '{n} line', '{n} lines', { n: grouped(lines) }), matches: plural(matches, '{n} match', '{n} matches', { n: grouped(matches) }) })

/** Why the search has stopped, and what it has not looked at. */
function limit(ofTime, when, name) {
  if (!when) return ofTime ? tr('Stopped at the limit of time.') : tr('Stopped at the limit of size.')
  if (!name) return ofTime ? tr('Stopped at the limit of time: lines after {when} were not looked at.', { when }) : tr('Stopped at the limit of size: lines after {when} were not looked at.', { when })
  return ofTime ? tr('Stopped at the limit of time: lines of {name} after {when} were not looked at.', { when, name }) : tr('Stopped at the limit of size: lines of {name} after {when} were not looked at.', { when, name })
}

export class Found {
  /** `query()` gives what is searched, or null; `open(source, row)` shows a line among its neighbours. */
  constructor(view, query, open) {
    this.view = view
    this.query = query
    this.box = $('[data-found]')
    this.list = $('[data-found-list]')
    this.said = $('[data-found-said]')
    this.stop = null
    onClick('[data-search-all]', () => this.begin())
    onClick('[data-found-stop]', () => this.stop?.abort())
    onClick('[data-found-close]', () => { this.stop?.abort(); this.box.hidden = true })
    this.list.addEventListener('click', event => {
      const at = event.target.closest('button')
      if (!at) return
      for (const one of this.list.querySelectorAll('[aria-current]')) one.removeAttribute('aria-current')
      at.setAttribute('aria-current', 'true')
      open(this.view.sources.get(at.dataset.source), [Number(at.dataset.stream), at.dataset.ns])
    })
  }

  async begin() {
    const query = this.query()
    this.box.hidden = false
    this.stop?.abort()
    this.list.replaceChildren()
    if (!query) { this.said.textContent = tr('Write into the search field what to look for first.'); return }
    const stop = this.stop = new AbortController(), button = $('[data-found-stop]')
    button.hidden = false
    this.said.textContent = tr('Searching…')
    const sources = [...this.view.sources.values()].filter(source => !this.view.off.has(source.id)), ends = []
    let searched = 0, matches = 0
    try {
      for (const source of sources) {
        let now = { searched: 0, matches: 0 }
        const end = await search(source.id, query, (lines, progress) => {
          this.put(source, lines)
          now = progress ?? now
          this.said.textContent = this.view.alone ? tr('Searching {lines} so far, {matches}', far(searched + now.searched, matches + now.matches)) : tr('Searching {name}: {lines} so far, {matches}', { name: source.name, ...far(searched + now.searched, matches + now.matches) })
        }, stop.signal)
        searched += now.searched
        matches += now.matches
        if (end?.stopped) ends.push([source, end])
      }
      this.tell(searched, matches, ends)
    } catch (error) {
      this.said.textContent = stop.signal.aborted ? tr('Stopped after {lines}.', far(searched, 0)) : tr('It could not be searched: {why}', { why: error.message })
    }
    if (this.stop === stop) { this.stop = null; button.hidden = true }
  }

  /** What was searched, and what was not. */
  tell(searched, matches, ends) {
    const shown = this.list.childElementCount, words = [tr('Searched {lines}: {matches}.', far(searched, matches))]
    if (shown < matches) words.push(plural(shown, 'The newest {n} is shown.', 'The newest {n} are shown.', { n: grouped(shown) }))
    for (const [source, { stopped, last }] of ends) {
      words.push(limit(stopped === 'time', last && `${last.slice(0, 19).replace('T', ' ')} UTC`, this.view.alone ? '' : source.name))
    }
    this.said.textContent = words.join(' ')
  }

  put(source, lines) {
    const rows = document.createDocumentFragment()
    for (const [stream, ns, line] of lines) {
      const at = document.createElement('button'), time = document.createElement('time'), name = document.createElement('b'), text = document.createElement('span')
      const ms = Number(ns.slice(0, -6)), plain = stripped(line.slice(0, LONG * 4)).slice(0, LONG), { then, day } = read(ms)
      time.textContent = `${day === read(Date.now()).day ? '' : `${then.getUTCMonth() + 1}/${then.getUTCDate()} `}${short(ms)}`
      time.dateTime = new Date(ms).toISOString()
      name.textContent = this.view.alone ? '' : source.name
      name.className = source.colour
      text.textContent = plain
      at.type = 'button'
      Object.assign(at.dataset, { source: source.id, stream, ns })
      at.append(time, ...(this.view.alone ? [] : [name]), text)
      const row = document.createElement('li')
      row.append(at)
      rows.append(row)
    }
    this.list.append(rows)
    while (this.list.childElementCount > MOST) this.list.firstChild.remove()
  }
}
