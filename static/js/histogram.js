// Lines over time, in bars: how much was said, and how much of it was trouble.
const BARS = 90, WIDTH = 900, HEIGHT = 34, SPACE = 'http://www.w3.org/2000/svg'
const pad = n => String(n).padStart(2, '0')

function bar(name, x, y, height) {
  const rect = document.createElementNS(SPACE, 'rect')
  for (const [key, value] of Object.entries({ class: name, x, y: y.toFixed(1), width: 8, height: height.toFixed(1) })) rect.setAttribute(key, value)
  return rect
}

/** Draws `items` into a figure with an svg and a figcaption; returns the time at which bar n begins. */
export function draw(figure, items) {
  const lines = items.filter(item => !item.gap)
  if (lines.length < 2) { figure.hidden = true; return null }
  let from = Infinity, to = -Infinity
  for (const { ms } of lines) { if (ms < from) from = ms; if (ms > to) to = ms }
  const span = Math.max(1000, to - from), bars = Array.from({ length: BARS }, () => ({ all: 0, err: 0, wrn: 0 }))
  for (const { ms, level } of lines) {
    const one = bars[Math.min(BARS - 1, Math.floor((ms - from) / span * BARS))]
    one.all++
    if (level === 'err') one.err++; else if (level === 'wrn') one.wrn++
  }
  const most = Math.max(...bars.map(one => one.all)), rects = []
  bars.forEach((one, i) => {
    if (!one.all) return
    const scale = count => count && Math.max(1.5, count / most * HEIGHT), all = scale(one.all), err = scale(one.err), wrn = scale(one.wrn)
    rects.push(bar('hi', i * 10, HEIGHT - all, all))
    if (wrn) rects.push(bar('hw', i * 10, Math.max(0, HEIGHT - err - wrn), wrn))
    if (err) rects.push(bar('he', i * 10, HEIGHT - err, err))
  })
  figure.hidden = false
  figure.querySelector('svg').replaceChildren(...rects)
  const short = span < 600000, text = ms => { const at = new Date(ms); return `${pad(at.getHours())}:${pad(at.getMinutes())}${short ? `:${pad(at.getSeconds())}` : ''}` }
  figure.querySelectorAll('figcaption span').forEach((el, i, all) => { el.textContent = text(from + span * i / (all.length - 1)) })
  const errors = bars.reduce((sum, one) => sum + one.err, 0)
  figure.setAttribute('aria-label', `${lines.length} lines from ${text(from)} to ${text(to)}, ${errors} of them errors`)
  return part => from + span * part
}
