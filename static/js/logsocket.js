// The socket of a view of logs: it comes back by itself, and goes on behind the last line that was had.
import { tr } from './texts.js'
const WAITS = [300, 600, 1200, 2500, 5000, 10000], TAIL = 5000, MOST = 100000
const OVER = { 4403: tr('You may not read these logs.'), 4404: tr('The container was removed: this is what it said.'), 4410: tr('The container was removed: this is what it said.') }

/** `?tail=` in the address of the page: lines of the past to begin with. */
function wanted() {
  const asked = Number(new URLSearchParams(location.search).get('tail'))
  return Number.isInteger(asked) && asked > 0 ? Math.min(asked, MOST) : TAIL
}

export class LogSocket {
  /** `sources` are asked for where they stand; `on.frame`, `on.over(words)` and `on.change()` are called back. */
  constructor(sources, on) {
    this.sources = sources
    this.on = on
    this.connected = false
    this.over = false
    this.lastWord = Date.now()
    this.failures = 0
    this.connect()
    addEventListener('online', () => this.again(0))
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.again(0) })
  }

  connect() {
    const query = new URLSearchParams(this.sources.map(source => ['container', source.id]))
    this.sources.map(source => source.cursor).filter(Boolean).forEach(cursor => query.append('after', cursor))
    query.append('tail', wanted())
    const it = this.socket = new WebSocket(`${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/ws/logs/?${query}`)
    it.onopen = () => { if (it === this.socket) { this.connected = true; this.failures = 0; this.lastWord = Date.now(); this.on.change() } }
    it.onmessage = event => { if (it === this.socket) { this.lastWord = Date.now(); this.on.frame(JSON.parse(event.data)) } }
    it.onclose = event => { if (it === this.socket) this.lost(event.code) }
  }

  lost(code) {
    this.socket = null
    this.connected = false
    if (code === 4401 || code === 4408) { location.reload(); return }
    this.over = code in OVER
    if (this.over) this.on.over(OVER[code])
    else this.again((code === 4429 ? 30000 : WAITS[Math.min(this.failures++, WAITS.length - 1)]) * (0.7 + Math.random() * 0.6))
    this.on.change()
  }

  again(wait) {
    clearTimeout(this.timer)
    if (!this.socket && !this.over) this.timer = setTimeout(() => { if (!this.socket) this.connect() }, wait)
  }
}
