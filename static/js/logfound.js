// The search of all that the engine still holds: what was found, how far it has come, and why it stopped.
import { $, onClick } from './dom.js'
import { short } from './histogram.js'
import { many } from './loglines.js'
import { search } from './logengine.js'
import { stripped } from './ansi.js'

const MOST = 2000, LONG = 300

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
    if (!query) { this.said.textContent = 'Write into the search field what to look for first.'; return }
    const stop = this.stop = new AbortController(), button = $('[data-found-stop]')
    button.hidden = false
    this.said.textContent = 'Searching…'
    const sources = [...this.view.sources.values()].filter(source => !this.view.off.has(source.id)), ends = []
    let searched = 0, matches = 0
    try {
      for (const source of sources) {
        let now = { searched: 0, matches: 0 }
        const end = await search(source.id, query, (lines, progress) => {
          this.put(source, lines)
          now = progress ?? now
          this.said.textContent = `Searching ${this.view.alone ? '' : `${source.name}: `}${many(searched + now.searched, 'line')} so far, ${many(matches + now.matches, 'match', 'matches')}`
        }, stop.signal)
        searched += now.searched
        matches += now.matches
        if (end?.stopped) ends.push([source, end])
      }
      this.tell(searched, matches, ends)
    } catch (error) {
      this.said.textContent = stop.signal.aborted ? `Stopped after ${many(searched, 'line')}.` : `It could not be searched: ${error.message}`
    }
    if (this.stop === stop) { this.stop = null; button.hidden = true }
  }

  /** What was searched, and what was not. */
  tell(searched, matches, ends) {
    const shown = this.list.childElementCount, words = [`Searched ${many(searched, 'line')}: ${many(matches, 'match', 'matches')}.`]
    if (shown < matches) words.push(`The newest ${many(shown, 'is', 'are')} shown.`)
    for (const [source, { stopped, last }] of ends) {
      const who = this.view.alone ? '' : ` of ${source.name}`
      words.push(`Stopped at the ${stopped === 'time' ? 'limit of time' : 'limit of size'}${last ? `: lines${who} after ${last.slice(0, 19).replace('T', ' ')} UTC were not looked at` : ''}.`)
    }
    this.said.textContent = words.join(' ')
  }

  put(source, lines) {
    const rows = document.createDocumentFragment()
    for (const [stream, ns, line] of lines) {
      const at = document.createElement('button'), time = document.createElement('time'), name = document.createElement('b'), text = document.createElement('span')
      const ms = Number(ns.slice(0, -6)), plain = stripped(line.slice(0, LONG * 4)).slice(0, LONG), day = new Date(ms)
      time.textContent = `${day.toDateString() === new Date().toDateString() ? '' : `${day.getMonth() + 1}/${day.getDate()} `}${short(ms)}`
      time.dateTime = day.toISOString()
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
