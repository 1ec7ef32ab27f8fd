// Keeps <time data-time> true: "14 min ago" grows, dates stand in the reader's own zone.
import { $$ } from './dom.js'

const UNITS = [[86400, 'd'], [3600, 'h'], [60, 'min']]
const pad = n => String(n).padStart(2, '0')

/** A length of time in its largest unit. */
export function span(seconds) {
  for (const [size, unit] of UNITS) if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`
  return `${Math.max(0, Math.floor(seconds))} s`
}

const day = at => `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`
const minute = at => `${pad(at.getHours())}:${pad(at.getMinutes())}`
const WORDS = {
  ago: (at, age) => age < -5 ? `in ${span(5 - age)}` : age < 5 ? 'just now' : `${span(age)} ago`,
  for: (at, age) => span(age),
  line: at => `${day(at)} ${minute(at)}:${pad(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, '0')}`,
  at: at => `${day(at)} ${minute(at)}`,
  clock: at => day(at) === day(new Date()) ? minute(at) : `${day(at)} ${minute(at)}`,
}

function tell(el) {
  const at = new Date(el.dateTime), text = WORDS[el.dataset.time]?.(at, (Date.now() - at) / 1000)
  if (text && el.textContent !== text) el.textContent = text
  el.title = `${day(at)} ${minute(at)}:${pad(at.getSeconds())}`
}
const all = root => $$('time[data-time]', root).forEach(tell)

export function keepTimes() {
  all(document)
  document.addEventListener('htmx:afterSettle', event => all(event.target))
  setInterval(() => document.hidden || all(document), 20000)
}
