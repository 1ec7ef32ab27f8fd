// Keeps <time data-time> true: "14 min ago" grows, dates stand in the reader's own zone.
import { $$ } from './dom.js'
import { tr } from './texts.js'
import { shown } from './zone.js'

const UNITS = [[86400, 'd'], [3600, 'h'], [60, 'min']]

/** A length of time in its largest unit. */
export function span(seconds) {
  for (const [size, unit] of UNITS) if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`
  return `${Math.max(0, Math.floor(seconds))} s`
}

const full = at => { const { day, minute, second } = shown(at); return `${day} ${minute}:${second}` }
const WORDS = {
  ago: (at, age) => age < -5 ? tr('in {time}', { time: span(5 - age) }) : age < 5 ? tr('just now') : tr('{time} ago', { time: span(age) }),
  for: (at, age) => span(age),
  line: at => `${full(at)}.${shown(at).milli}`,
  at: at => `${shown(at).day} ${shown(at).minute}`,
  clock: at => shown(at).day === shown(Date.now()).day ? shown(at).minute : `${shown(at).day} ${shown(at).minute}`,
}

function tell(el) {
  const at = new Date(el.dateTime), text = WORDS[el.dataset.time]?.(at, (Date.now() - at) / 1000)
  if (text && el.textContent !== text) el.textContent = text
  el.title = full(at)
}
const all = root => $$('time[data-time]', root).forEach(tell)

export function keepTimes() {
  all(document)
  document.addEventListener('htmx:afterSettle', event => all(event.target))
  setInterval(() => document.hidden || all(document), 20000)
}
