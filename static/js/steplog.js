// The log of a build by its steps: each line goes to the section of its step, which can be closed and searched.
import { tr } from './texts.js'

const HEAD = /^Step \d{1,4}\/\d{1,4} : /
const TONES = [[/^ERROR /, 'bad'], [/^warning:/i, 'y'], [/^(?: ---> )?(?:DONE [\d.]+s|CACHED|CANCELED|Using cache)$/, 'dim']]

const CACHED = /^(?:CACHED| ---> Using cache)$/

const tone = text => TONES.find(([pattern]) => pattern.test(text))?.[1] ?? ''

/** The sections of `log`. `put` takes a row to its place, `told` what an event says of a step, `find` shows only what
 holds the words and returns how many lines do. */
export function sections(log) {
  let words = ''
  const of = step => log.querySelector(`#step-${step}`)
  const made = (step, title) => {
    const part = document.createElement('details'), head = document.createElement('summary')
    part.className = 'ls'
    part.id = `step-${step}`
    part.open = true
    for (const [tag, name, text] of [['span', 'bn num', `#${step}`], ['code', '', title], ['span', 'n num', '']]) {
      const el = document.createElement(tag)
      if (name) el.className = name
      el.textContent = text
      head.append(el)
    }
    part.append(head)
    log.append(part)
    return part
  }
  const hide = row => { row.hidden = words !== '' && !row.lastElementChild.textContent.toLowerCase().includes(words) }
  return {
    put(row, step, text) {
      if (!step) { log.append(row); hide(row); return }
      const part = of(step)
      if (!part) { made(step, text.replace(HEAD, '')); return }
      const name = tone(text)
      if (name) row.lastElementChild.classList.add(name)
      row.firstElementChild.textContent = ''
      hide(row)
      part.append(row)
      if (CACHED.test(text)) {
        part.querySelector('summary .n').textContent = tr('cached')
        if (!part.contains(document.activeElement)) part.open = false
      }
    },
    told({ step, state, cached, seconds }) {
      const end = of(step)?.querySelector('summary .n')
      if (!end || cached || (state !== 'done' && state !== 'failed')) return
      end.textContent = `${Number(seconds).toFixed(1)} s`
      end.classList.toggle('bad', state === 'failed')
    },
    find(typed) {
      words = typed.trim().toLowerCase()
      const rows = [...log.querySelectorAll('.ln')]
      rows.forEach(hide)
      for (const part of log.querySelectorAll('.ls')) {
        const hits = part.querySelector('.ln:not([hidden])')
        part.hidden = words !== '' && !hits && !part.firstElementChild.textContent.toLowerCase().includes(words)
        if (words && hits) part.open = true
      }
      return words ? rows.filter(row => !row.hidden).length : 0
    },
  }
}
