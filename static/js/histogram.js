// Lines over time, in bars: how much was said, and how much of it was trouble. A click goes there, a drag picks a range.
import { tr } from './texts.js'
import { shown } from './zone.js'
const BARS = 90, HEIGHT = 34, WIDTH = 900, SPACE = 'http://www.w3.org/2000/svg'

function bar(name, x, y, height, width = 8) {
  const rect = document.createElementNS(SPACE, 'rect')
  for (const [key, value] of Object.entries({ class: name, x: x.toFixed(1), y: y.toFixed(1), width: width.toFixed(1), height: height.toFixed(1) })) rect.setAttribute(key, value)
  return rect
}

/** A time of day, with seconds where they tell something. */
export function short(ms, seconds = true) {
  const { minute, second } = shown(ms)
  return seconds ? `${minute}:${second}` : minute
}

export class Histogram {
  /** `go(ms)` for a click, `pick(from, to)` for a drag. */
  constructor(figure, go, pick) {
    this.figure = figure
    this.svg = figure.querySelector('svg')
    this.from = this.span = 0
    this.begun = null
    this.svg.addEventListener('pointerdown', event => {
      if (event.button || !this.span) return
      this.begun = this.part(event)
      this.svg.setPointerCapture(event.pointerId)
    })
    this.svg.addEventListener('pointermove', event => { if (this.begun !== null) this.brush(this.begun, this.part(event)) })
    this.svg.addEventListener('pointercancel', () => this.end())
    this.svg.addEventListener('pointerup', event => {
      if (this.begun === null) return
      const [a, b] = [this.begun, this.part(event)].sort((x, y) => x - y)
      this.end()
      if (b - a < 0.008) go(this.from + this.span * a); else pick(this.from + this.span * a, this.from + this.span * b)
    })
  }

  part(event) {
    const box = this.svg.getBoundingClientRect()
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width))
  }

  brush(a, b) {
    this.shade?.remove()
    this.shade = bar('hs', Math.min(a, b) * WIDTH, 0, HEIGHT, Math.abs(a - b) * WIDTH)
    this.svg.append(this.shade)
  }

  end() { this.begun = null; this.shade?.remove(); this.shade = null }

  /** Draws items, which are in the order of their time; `range` is shaded. */
  draw(items, range = null) {
    if (this.begun !== null) return
    const { figure } = this, from = items.find(item => !item.gap)?.at, to = items.findLast(item => !item.gap)?.at
    const bars = Array.from({ length: BARS }, () => ({ all: 0, err: 0, wrn: 0 }))
    let n = 0
    if (from !== undefined) {
      this.from = from
      this.span = Math.max(1000, to - from)
      for (const { at, level, gap } of items) {
        if (gap) continue
        const one = bars[Math.min(BARS - 1, Math.floor((at - from) / this.span * BARS))]
        n++
        one.all++
        if (level === 'err') one.err++; else if (level === 'wrn') one.wrn++
      }
    }
    figure.hidden = n < 2
    if (figure.hidden) return
    this.paint(bars)
    if (range) this.svg.append(bar('hs', (range[0] - from) / this.span * WIDTH, 0, HEIGHT, (range[1] - range[0]) / this.span * WIDTH))
    const seconds = this.span < 600000, text = part => short(this.from + this.span * part, seconds)
    figure.querySelectorAll('figcaption span').forEach((el, i, all) => { el.textContent = text(i / (all.length - 1)) })
    const errors = bars.reduce((sum, one) => sum + one.err, 0)
    figure.setAttribute('aria-label', tr('{n} lines from {from} to {to}, {errors} of them errors', { n, from: text(0), to: text(1), errors }))
  }

  paint(bars) {
    const most = Math.max(...bars.map(one => one.all)), rects = []
    bars.forEach((one, i) => {
      if (!one.all) return
      const scale = count => count && Math.max(1.5, count / most * HEIGHT), all = scale(one.all), err = scale(one.err), wrn = scale(one.wrn)
      rects.push(bar('hi', i * 10, HEIGHT - all, all))
      if (wrn) rects.push(bar('hw', i * 10, Math.max(0, HEIGHT - err - wrn), wrn))
      if (err) rects.push(bar('he', i * 10, HEIGHT - err, err))
    })
    this.svg.replaceChildren(...rects)
  }
}
