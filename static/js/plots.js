// Lines over time with uPlot: one cursor over all of them, limits and moments as dashed lines, both themes.
import { size } from './figures.js'
import { shown, wall } from './zone.js'

const SPACE = { 300: 70, 3600: 64 }, NEAR = 6
const MONTHS = new Intl.DateTimeFormat(document.documentElement.lang || 'en', { month: 'short', timeZone: 'UTC' })
const date = then => `${then.getUTCDate()} ${MONTHS.format(then)}`

/** Bytes a second, by thousands, in the words of the server. */
export function rate(bytes) {
  let value = bytes
  for (const unit of ['B', 'KB', 'MB', 'GB']) {
    if (value < 999.5) return `${unit === 'B' || unit === 'KB' || value >= 100 ? value.toFixed(0) : Number(value.toPrecision(3))} ${unit}/s`
    value /= 1000
  }
  return `${Number(value.toPrecision(3))} TB/s`
}

/** The same beside a line of the plot, where 2.5 must not become 3. */
const exact = bytes => {
  const unit = bytes < 1e3 ? ['B', 1] : bytes < 1e6 ? ['KB', 1e3] : bytes < 1e9 ? ['MB', 1e6] : ['GB', 1e9]
  return `${Number((bytes / unit[1]).toPrecision(3))} ${unit[0]}/s`
}

/** The time of a point, as long as it has to be for this range. */
export function moment(seconds, range) {
  const { then, minute, second } = shown(seconds * 1000)
  if (range <= 3600) return `${minute}:${second}`
  return range <= 86400 ? minute : `${date(then)} ${minute}`
}

function tick(seconds, range) {
  const { then, hour, minute, second } = shown(seconds * 1000)
  if (range > 86400) return (minute === '00:00' && second === '00') || range > 864000 ? date(then) : `${hour}:00`
  return range <= 300 ? `${minute}:${second}` : minute
}

// Memory is counted by 1024, so its lines stand on whole kilobytes and megabytes.
const BINARY = Array.from({ length: 44 }, (_, i) => 2 ** i)

const probe = document.createElement('i')
probe.hidden = true
/** A colour of the style sheet in the theme of now: light-dark() resolves on an element. */
function colour(name) {
  if (!probe.isConnected) document.body.append(probe)
  probe.className = `c-${name}`
  return getComputedStyle(probe).color
}
const faint = paint => paint.startsWith('rgb(') ? paint.replace('rgb(', 'rgba(').replace(')', ', .09)') : paint.replace(/\s*\)$/, ' / .09)')

/** What each plot is drawn from: the columns of its lines, whether the second is dashed, its least height, its limit. */
export const KINDS = {
  cpu: { lines: ['cpu', 'cpu_max'], words: v => `${+(v * 100).toFixed(1)} %`, least: 0.05, limit: data => data.cpuLimit },
  memory: { lines: ['memory', 'memory_max'], words: size, least: 1 << 20, limit: data => data.memoryLimit, binary: true },
  net: { lines: ['net_rx', 'net_tx'], words: exact, least: 1000 },
  disk: { lines: ['blk_write', 'blk_read'], words: exact, least: 1000 },
}

/** The top of a plot: its highest point, and its limit where that is near enough to matter. */
function top(kind, data, found) {
  const limit = kind.limit?.(data) || 0, most = Math.max(kind.least, found ?? 0) * 1.12
  return limit && most > limit * 0.4 ? Math.max(most, limit * 1.08) : most
}

function vertical(u, at, paint, dash, alpha) {
  const { ctx, bbox } = u, px = devicePixelRatio, x = Math.round(u.valToPos(at, 'x', true)) + 0.5
  if (x < bbox.left || x > bbox.left + bbox.width) return
  Object.assign(ctx, { strokeStyle: paint, globalAlpha: alpha })
  ctx.setLineDash(dash.map(n => n * px))
  ctx.beginPath()
  ctx.moveTo(x, bbox.top)
  ctx.lineTo(x, bbox.top + bbox.height)
  ctx.stroke()
}

function extras(u, kind, data) {
  const { ctx, bbox } = u, px = devicePixelRatio, limit = kind.limit?.(data) || 0
  ctx.save()
  ctx.lineWidth = px
  for (const [at, , what, bad] of data.marks) vertical(u, at, colour(bad ? 'bad' : what === 'deploy' ? 'ink2' : 'ink3'), what === 'deploy' ? [4, 3] : [2, 2], what === 'deploy' ? 0.8 : 0.6)
  if (limit && limit <= u.scales.y.max) {
    const y = Math.round(u.valToPos(limit, 'y', true)) + 0.5
    Object.assign(ctx, { strokeStyle: colour('bad'), globalAlpha: 0.9 })
    ctx.setLineDash([5 * px, 4 * px])
    ctx.beginPath()
    ctx.moveTo(bbox.left, y)
    ctx.lineTo(bbox.left + bbox.width, y)
    ctx.stroke()
  }
  ctx.restore()
}

/** A point with nothing on either side has no line: it is drawn as a dot. */
function alone(u, index) {
  const values = u.data[index], found = []
  for (let i = 0; i < values.length; i++) if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i)
  return found
}

/** The moment beside the cursor, in words at the top of the plot. */
function tip(u, place, data) {
  const near = u.cursor.left < 0 ? [] : data.marks.filter(([at]) => Math.abs(u.valToPos(at, 'x') - u.cursor.left) < NEAR)
  place.hidden = !near.length
  if (!near.length) return
  place.textContent = near.map(([, label]) => label).join(' · ')
  place.classList.toggle('bad', near.some(mark => mark[3]))
  const left = u.valToPos(near[0][0], 'x') + u.over.offsetLeft, room = u.root.clientWidth
  place.style.left = left < room * 0.55 ? `${left + 6}px` : ''
  place.style.right = left < room * 0.55 ? '' : `${room - left + 6}px`
}

/** Draws one plot into its host. ``window``: () => [from, to] in seconds; ``hover``: (index or null) => …. */
export function plot(host, name, data, { window: shown, hover }) {
  const kind = KINDS[name], fine = !data.step && kind.lines[1].endsWith('_max')
  const names = fine ? kind.lines.slice(0, 1) : kind.lines, place = document.createElement('span')
  place.className = 'tip'
  place.hidden = true
  const axis = { stroke: colour('ink3'), font: '11px Geist, system-ui', grid: { stroke: colour('line'), width: 1 }, ticks: { show: false }, gap: 6 }
  const line = (_, i) => {
    const paint = colour(`s${i + 1}`)
    return { stroke: paint, width: 1.5, dash: i ? [4, 3] : undefined, fill: i ? undefined : faint(paint), points: { show: true, size: 4, fill: paint, filter: alone } }
  }
  const u = new window.uPlot({
    width: host.clientWidth, height: host.clientHeight, padding: [10, 16, 0, 0], legend: { show: false },
    cursor: { sync: { key: 'stats' }, y: false, drag: { x: false, y: false }, points: { size: 6 } },
    tzDate: wall, // lines stand at the hours and midnights of the reader's clock
    scales: { x: { range: shown }, y: { range: (_, low, high) => [0, top(kind, data, high)] } },
    axes: [
      { ...axis, size: 26, space: SPACE[data.seconds] ?? 74, grid: { show: false }, values: (_, at) => at.map(t => tick(t, data.seconds)) },
      { ...axis, size: 66, space: 36, values: (_, at) => at.map(kind.words), ...(kind.binary ? { incrs: BINARY } : {}) },
    ],
    series: [{}, ...names.map(line)],
    hooks: { draw: [it => extras(it, kind, data)], setCursor: [it => { tip(it, place, data); hover(it.cursor.idx) }] },
  }, [data.t, ...names.map(column => data[column])], host)
  host.append(place)
  return { redraw: () => u.setData([data.t, ...names.map(column => data[column])]), resize: () => u.setSize({ width: host.clientWidth, height: host.clientHeight }), end: () => { u.destroy(); place.remove() } }
}
