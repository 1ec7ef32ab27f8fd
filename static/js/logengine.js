// What is asked of the engine beside the lines that come by themselves: lines around a time, one line whole, a search.
import { tr } from './texts.js'
const address = (id, part, query) => `/api/v1/containers/${id}/logs/${part}?${new URLSearchParams(query)}`
const seconds = ns => `${ns.slice(0, -9) || '0'}.${ns.slice(-9).padStart(9, '0')}`

/** `2026-11-24T00:46:53.213760878Z` → nanoseconds since 1970, as text. */
const nanoseconds = time => `${Date.parse(`${time.slice(0, 19)}Z`) / 1000}${time.slice(20, 29).padEnd(9, '0')}`.replace(/^0+(?=\d)/, '')

/** A line of an answer → `[stream, ns, text]`. */
const lineOf = ({ stream, ts, line }) => [stream === 'stderr' ? 2 : 1, nanoseconds(ts), line]

async function asked(url, signal) {
  const answer = await fetch(url, { headers: { Accept: 'application/x-ndjson' }, signal })
  if (answer.ok) return answer
  const problem = await answer.json().catch(() => ({}))
  throw new Error(problem.detail || tr('The answer was {status}', { status: answer.status }))
}

/** Objects of an answer of one a line, as they come. */
async function* objects(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value, done } = await reader.read()
    const lines = (rest + (value ?? '')).split('\n')
    rest = lines.pop()
    for (const line of lines) if (line) yield JSON.parse(line)
    if (done) return
  }
}

async function rows(url) {
  const found = []
  for await (const one of objects(await asked(url))) if (one.line !== undefined) found.push(lineOf(one))
  return found
}

/** So many lines before a time and as many from it on. */
export const around = (id, ns, context) => rows(address(id, '', { at: seconds(ns), context }))

/** The last so many lines before one of that time, and it. */
export const before = (id, ns, tail) => rows(address(id, '', { until: seconds(ns), tail: tail + 1 }))

/** The nth line of exactly that time, whole. */
export async function whole({ source, ns, stream, n }) {
  const found = (await rows(address(source.id, '', { since: seconds(ns), until: seconds(ns), tail: 1000 }))).filter(row => row[0] === stream && row[1] === ns)
  return found[n - 1]?.[2] ?? found[0]?.[2]
}

/** Searches all that the engine holds of a container; `on(lines, progress)` is called as it goes. Returns the last word. */
export async function search(id, query, on, signal) {
  let last = null, found = []
  for await (const one of objects(await asked(address(id, 'search/', query), signal))) {
    if (one.line !== undefined) found.push(lineOf(one))
    else { on(found, last = one); found = [] }
  }
  return last
}
