// The reader's clock: of the time zone that they have named in their account, else of the browser. The server reads days
// by it too, so it is told the browser's.
const QUARTER = 900000 // no zone is off by less
/** The name of that zone, empty for the browser's. */
export let zone = ''
const named = document.documentElement.dataset.zone
const offsets = new Map()
let format = null
try {
  if (named) format = new Intl.DateTimeFormat('en', { timeZone: named, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' })
  if (format) zone = named
} catch { /* a zone that this browser does not know: its own */ }
try { document.cookie = `zone=${new Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/; max-age=31536000; samesite=lax` } catch { /* days stay those of UTC */ }

function offset(ms) {
  if (!format) return -new Date(ms).getTimezoneOffset() * 60000
  const { year, month, day, hour, minute, second } = Object.fromEntries(format.formatToParts(ms).map(part => [part.type, Number(part.value)]))
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(ms / 1000) * 1000
}

/** A date whose UTC parts (getUTCHours …) are what the reader's clock shows at that time. */
export function local(at) {
  const ms = Number(at), quarter = Math.floor(ms / QUARTER)
  if (!Number.isFinite(ms)) return new Date(NaN)
  if (!offsets.has(quarter)) { if (offsets.size > 5000) offsets.clear(); offsets.set(quarter, offset(quarter * QUARTER)) }
  return new Date(ms + offsets.get(quarter))
}

/** The same for what reads the browser's own parts (getHours …), in seconds: see `tzDate` of uPlot. */
export function wall(seconds) {
  const then = local(seconds * 1000)
  return new Date(then.getUTCFullYear(), then.getUTCMonth(), then.getUTCDate(), then.getUTCHours(), then.getUTCMinutes(), then.getUTCSeconds(), then.getUTCMilliseconds())
}

/** The time at which the reader's clock shows this (`2026-11-24T13:45:30`), in milliseconds. */
export function instant(shown) {
  const wall = Date.parse(`${shown}Z`)
  if (Number.isNaN(wall)) return NaN
  const once = wall - offset(wall)
  return wall - offset(once)
}

const pad = (n, width = 2) => String(n).padStart(width, '0')

/** Its parts as text: day, minute, second, milli; `local` beside them. */
export function shown(at) {
  const then = local(at)
  return {
    then, day: then.toISOString().slice(0, 10), hour: pad(then.getUTCHours()), second: pad(then.getUTCSeconds()), milli: pad(then.getUTCMilliseconds(), 3),
    minute: `${pad(then.getUTCHours())}:${pad(then.getUTCMinutes())}`,
  }
}
