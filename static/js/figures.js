// CPU and memory of containers, written into the cells that wait for them. No row moves, nothing is swapped.
// After each frame `slipway:figures` {rows} tells the page's own script.
import { $, $$ } from './dom.js'

const KEPT = 30 // readings a spark shows
const cpus = new Map(), memories = new Map() // container → its latest readings, in cores and in bytes

/** Percent of one core, as `docker stats` says it: 0.4, 12.0, 187.5. */
export const percent = cores => (cores * 100).toFixed(1)

/** Bytes of memory by 1024, as `docker run --memory` counts them; the same words as the server's. */
export function size(bytes) {
  let value = bytes
  for (const unit of ['B', 'KB', 'MB']) {
    if (value < 1000) return `${value.toFixed(unit === 'MB' && value < 10 ? 1 : 0)} ${unit}`
    value /= 1024
  }
  return value < 1000 ? `${Number(value.toPrecision(3))} GB` : `${Number((value / 1024).toPrecision(3))} TB`
}

/** The points of a spark `width` by `height`, oldest first; `most` is its top, at least. */
export function line(values, width, height, most = 1e-9) {
  if (values.length < 2) return ''
  const top = Math.max(most, ...values), step = width / (values.length - 1)
  return 'M' + values.map((v, i) => `${(i * step).toFixed(1)} ${(height - 1 - v / top * (height - 2)).toFixed(1)}`).join('L')
}

function write(cell, text) {
  const place = $('.v:not(rect)', cell) ?? cell
  // What stands behind the number (" %") stays.
  const node = place.firstChild?.nodeType === Node.TEXT_NODE ? place.firstChild : place.insertBefore(new Text(''), place.firstChild)
  if (node.data !== text) node.data = text
  place.removeAttribute('data-none')
}

/** Adds a reading and draws the last ones into the cell's spark. */
function draw(cell, values, most) {
  const spark = $('svg.spark', cell)
  if (!spark) return
  const { width, height } = spark.viewBox.baseVal, path = line(values, width, height, most)
  $('.line', spark)?.setAttribute('d', path)
  $('.fill', spark)?.setAttribute('d', path && `${path}V${height}H0Z`)
}

function keep(history, id, value) {
  const values = history.get(id) ?? []
  values.push(value)
  if (values.length > KEPT) values.shift()
  history.set(id, values)
  return values
}

function cpu(cell, cores, values) {
  write(cell, percent(cores))
  // An idle container's line is flat at the bottom: a tenth of a core is the least that fills the height.
  draw(cell, values, 0.1)
}

function memory(cell, bytes, values) {
  write(cell, size(bytes))
  const limit = Number(cell.dataset.limit || 0), bar = $('svg.bar', cell)
  draw(cell, values, limit || bytes * 1.6)
  if (!bar || !limit) return
  const part = Math.min(100, 100 * bytes / limit), tone = part > 90 ? 'bad' : part > 78 ? 'warn' : ''
  bar.classList.toggle('warn', tone === 'warn')
  bar.classList.toggle('bad', tone === 'bad')
  $('.v', bar)?.setAttribute('width', `${part.toFixed(1)}%`)
}

/** Sparks that came with the page, drawn from what the server knew already. */
export function begin() {
  for (const spark of $$('svg.spark[data-values]')) {
    const cell = spark.closest('[data-cpu], [data-mem]'), id = cell?.dataset.cpu ?? cell?.dataset.mem, history = cell?.dataset.cpu ? cpus : memories
    const values = spark.dataset.values.split(' ').map(Number)
    spark.removeAttribute('data-values')
    if (!id) continue
    if (!history.has(id)) history.set(id, values)
    const known = history.get(id)
    draw(cell, known, history === cpus ? 0.1 : Number(cell.dataset.limit || 0) || known.at(-1) * 1.6)
  }
}

/** What all containers of an engine use together, of all it has. */
function load(gauges, cores, bytes) {
  for (const [name, part] of [['cpu', cores / gauges.dataset.cores], ['memory', bytes / gauges.dataset.bytes]]) {
    const place = $(`[data-gauge="${name}"]`, gauges), percent = Math.min(100, 100 * part), text = $('span', place)
    $('.v', place)?.setAttribute('width', `${percent.toFixed(1)}%`)
    if (text) text.textContent = `${percent.toFixed(0)} %`
  }
}

/** Rows of [container or engine, cores or null, bytes]. */
export function patch(rows) {
  for (const [id, cores, bytes] of rows) {
    const gauges = $(`[data-load="${CSS.escape(id)}"]`)
    if (gauges) { load(gauges, cores, bytes); continue }
    const name = CSS.escape(id), memoryNow = keep(memories, id, bytes)
    if (cores !== null) {
      const now = keep(cpus, id, cores)
      $$(`[data-cpu="${name}"]`).forEach(cell => cpu(cell, cores, now))
    }
    $$(`[data-mem="${name}"]`).forEach(cell => memory(cell, bytes, memoryNow))
  }
  document.dispatchEvent(new CustomEvent('slipway:figures', { detail: { rows } }))
}
