// Replays an asciicast v2: plays, pauses, jumps, faster or slower. Long pauses are shortened to two seconds.
import { $, onClick } from './dom.js'
import { makeTerminal } from './terminal.js'
import { tr } from './texts.js'

const IDLE = 2

/** `{head, events: [[seconds, kind, data], …]}` with the pauses shortened; what is no event is left out. */
export function parse(text) {
  const [first, ...rest] = text.split('\n').filter(Boolean)
  const events = []
  let before = 0, at = 0
  for (const line of rest) {
    let event
    try { event = JSON.parse(line) } catch { continue }
    at += Math.max(0, Math.min(IDLE, event[0] - before))
    before = event[0]
    events.push([at, event[1], event[2]])
  }
  return { head: JSON.parse(first), events }
}

export async function replay(box) {
  const bar = $('[data-player]'), play = $('[data-play]'), seek = $('[data-seek]'), shown = $('[data-at]'), note = $('[data-note]')
  const answer = await fetch(box.dataset.cast).catch(() => null)
  if (!answer?.ok) { note.hidden = false; note.textContent = tr('The recording cannot be read: it may have been removed.'); note.classList.add('bad'); return }
  const { head, events } = parse(await answer.text()), length = events.at(-1)?.[0] ?? 0
  box.hidden = false
  box.classList.add('watched')
  const { term } = await makeTerminal(box, { readOnly: true })
  term.resize(head.width, head.height)
  let next = 0, at = 0, playing = false, then = 0

  const time = seconds => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`
  const draw = () => {
    seek.value = length ? Math.round(at / length * 1000) : 1000
    seek.setAttribute('aria-valuetext', tr('{part} of {all}', { part: time(at), all: time(length) }))
    shown.textContent = `${time(at)} / ${time(length)}`
    $('span', play).textContent = playing ? tr('Pause') : at >= length ? tr('Play again') : tr('Play')
    $('use', play)?.setAttribute('href', $('use', play).getAttribute('href').replace(/#.*/, playing ? '#pause' : '#play'))
  }
  const give = () => {
    while (next < events.length && events[next][0] <= at) {
      const [, kind, data] = events[next++]
      if (kind === 'o') term.write(data)
      else if (kind === 'r') { const [columns, rows] = data.split('x').map(Number); if (columns > 0 && rows > 0) term.resize(columns, rows) }
    }
  }
  const go = to => {
    if (to < at) { term.reset(); term.resize(head.width, head.height); next = 0 }
    at = Math.max(0, Math.min(length, to))
    give()
    draw()
  }
  const tick = now => {
    if (!playing) return
    go(at + (now - then) / 1000 * Number($('[data-speed]', bar).value))
    then = now
    if (at >= length) { playing = false; draw() } else requestAnimationFrame(tick)
  }
  const toggle = () => {
    playing = !playing
    if (playing) { if (at >= length) go(0); then = performance.now(); requestAnimationFrame(tick) }
    draw()
  }
  onClick('[data-play]', toggle)
  seek.addEventListener('input', () => go(seek.value / 1000 * length))
  box.addEventListener('keydown', event => { if (event.key === ' ') { event.preventDefault(); toggle() } })
  go(0)
  toggle()
}
