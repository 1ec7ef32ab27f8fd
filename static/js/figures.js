// CPU and memory of containers, written into the cells that wait for them. No row moves, nothing is swapped.
import { $, $$ } from './dom.js'

const KEPT = 30 // readings a spark shows
const history = new Map() // container → latest CPU readings, in cores

/** Percent of one core, as `docker stats` says it: 0.4, 12.0, 187.5. */
export const percent = cores => (cores * 100).toFixed(1)

/** Bytes by thousands, as the engine counts them; the same words as the server's. */
export function size(bytes) {
  let value = bytes
  for (const unit of ['B', 'KB', 'MB', 'GB']) {
    if (Math.abs(value) < 999.5) return `${unit === 'B' || unit === 'KB' || value >= 100 ? value.toFixed(0) : Number(value.toPrecision(3))} ${unit}`
    value /= 1000
  }
  return `${Number(value.toPrecision(3))} TB`
}

/** The points of a spark `width` by `height`, oldest first. */
export function line(values, width, height) {
  if (values.length < 2) return ''
  const top = Math.max(1e-9, ...values), step = width / (values.length - 1)
  return 'M' + values.map((v, i) => `${(i * step).toFixed(1)} ${(height - 1 - v / top * (height - 2)).toFixed(1)}`).join('L')
}

function write(cell, text) {
  const place = $('.v:not(rect)', cell) ?? cell
  // What stands behind the number (" %") stays.
  const node = place.firstChild?.nodeType === Node.TEXT_NODE ? place.firstChild : place.insertBefore(new Text(''), place.firstChild)
  if (node.data !== text) node.data = text
}

function cpu(cell, cores, values) {
  write(cell, percent(cores))
  const spark = $('svg.spark', cell)
  if (!spark) return
  const { width, height } = spark.viewBox.baseVal, path = line(values, width, height)
  $('.line', spark)?.setAttribute('d', path)
  $('.fill', spark)?.setAttribute('d', path && `${path}V${height}H0Z`)
}

function memory(cell, bytes) {
  write(cell, size(bytes))
  const limit = Number(cell.dataset.limit || 0), bar = $('svg.bar', cell)
  if (!bar || !limit) return
  const part = Math.min(100, 100 * bytes / limit), tone = part > 90 ? 'bad' : part > 78 ? 'warn' : ''
  bar.classList.toggle('warn', tone === 'warn')
  bar.classList.toggle('bad', tone === 'bad')
  $('.v', bar)?.setAttribute('width', `${part.toFixed(1)}%`)
}

/** Rows of [container, cores or null, bytes]. */
export function patch(rows) {
  for (const [id, cores, bytes] of rows) {
    if (cores !== null) {
      const values = history.get(id) ?? []
      values.push(cores)
      if (values.length > KEPT) values.shift()
      history.set(id, values)
      $$(`[data-cpu="${CSS.escape(id)}"]`).forEach(cell => cpu(cell, cores, values))
    }
    $$(`[data-mem="${CSS.escape(id)}"]`).forEach(cell => memory(cell, bytes))
  }
}
