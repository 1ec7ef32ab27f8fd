// The form that runs a container: its rows, the same wish as a docker run command, what will happen, and its end.
import { $, $$, onClick } from '../dom.js'
import { read } from '../docker_run.js'

const quote = text => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
const part = (kind, text) => { const el = document.createElement('span'); el.className = kind; el.textContent = text; return el }
let following = ''

const theForm = () => $('#run-form')
const value = (form, name) => $(`[name="${name}"]`, form)?.value.trim() ?? ''
const lines = (form, kind) => $$(`[data-rows=${kind}] [data-row]`, form)
const held = form => new Map($$('#held option', form).map(option => [option.value, option.dataset.by]))

/** The command, as pairs of option and value: the order of the form. */
function options(form) {
  const found = []
  for (const field of $$('[data-arg^="--"]', form)) if (field.value.trim()) found.push([field.dataset.arg, memory(field)])
  if (value(form, 'restart') !== 'no') found.push(['--restart', value(form, 'restart') + (value(form, 'restart') === 'on-failure' && value(form, 'retries') ? `:${value(form, 'retries')}` : '')])
  if (value(form, 'network')) found.push(['--network', value(form, 'network')])
  for (const row of lines(form, 'ports')) {
    const [outside, inside, protocol] = ['h', 'c', 'p'].map(key => $(`[data-port=${key}]`, row).value.trim())
    if (inside) found.push(['--publish', `${outside ? `${outside}:` : ''}${inside}${protocol === 'tcp' ? '' : `/${protocol}`}`, $('.err', row)])
  }
  for (const row of lines(form, 'env')) {
    const [name, text, secret] = ['k', 'v', 's'].map(key => $(`[data-env=${key}]`, row))
    if (name.value.trim()) found.push(['--env', secret.checked ? name.value.trim() : `${name.value.trim()}=${text.value}`])
  }
  for (const row of lines(form, 'mounts')) {
    const [kind, source, target, readOnly] = ['t', 's', 'd', 'r'].map(key => $(`[data-mount=${key}]`, row))
    if (!target.value.trim()) continue
    if (kind.value === 'tmpfs') found.push(['--tmpfs', target.value.trim()])
    else found.push(['--volume', `${source.value.trim()}:${target.value.trim()}${readOnly.checked ? ':ro' : ''}`])
  }
  for (const row of lines(form, 'labels')) {
    const name = $('[data-label=k]', row).value.trim()
    if (name) found.push(['--label', `${name}=${$('[data-label=v]', row).value}`])
  }
  for (const name of ['cap_add', 'cap_drop']) for (const one of value(form, name).split(/[\s,]+/).filter(Boolean)) found.push([`--${name.replace('_', '-')}`, one])
  if (value(form, 'health_command') && value(form, 'health_interval')) found.push(['--health-interval', `${value(form, 'health_interval')}s`])
  if (value(form, 'pull') !== 'missing') found.push(['--pull', value(form, 'pull')])
  return found
}
const memory = field => field.name === 'memory' && /^\d+$/.test(field.value.trim()) ? `${field.value.trim()}m` : field.value.trim()

function render(form) {
  const out = $('#cmd', form), made = [part('c0', start(form) ? 'docker run' : 'docker create'), start(form) ? ' --detach \\\n' : ' \\\n']
  for (const flag of $$('[data-flag]', form)) if (flag.checked) made.push('  ', part('fl', flag.dataset.flag), ' \\\n')
  for (const [name, text, bad] of options(form)) made.push('  ', part('fl', name), ' ', part(bad ? 'bad' : 'vl', quote(text)), ' \\\n')
  made.push('  ', part('im', value(form, 'image') || 'IMAGE'), value(form, 'command') ? ` ${value(form, 'command')}` : '')
  out.replaceChildren(...made)
  image(form)
  plan(form)
  for (const [kind, fields] of [['ports', '[data-port=c]'], ['env', '[data-env=k]'], ['mounts', '[data-mount=d]']]) {
    const rows = lines(form, kind), n = rows.filter(row => $(fields, row).value.trim()).length, bad = rows.filter(row => $('.err', row)).length
    const count = $(`[data-count=${kind}]`, form)
    count.textContent = bad || n || ''
    count.classList.toggle('bad', bad > 0)
  }
}
const start = form => $('[name=start]', form).checked

function here(form) {
  const asked = value(form, 'image'), name = /[@]|:[^/]*$/.test(asked) ? asked : `${asked}:latest`
  return asked && $$('#images option', form).find(option => option.value === name || option.value === asked)
}
function image(form) {
  const note = $('[data-image-note]', form), found = here(form), asked = value(form, 'image')
  note.className = `in-note ${found ? 'ok' : 'dim'}`
  $('.glyph', note).classList.toggle('vh', !found)
  $('span', note).textContent = found ? `here, ${found.dataset.size}` : asked ? 'to be pulled' : ''
}
function plan(form) {
  const name = value(form, 'name'), network = value(form, 'network'), pull = value(form, 'pull'), there = here(form)
  const say = (where, text) => { const line = $(`[data-plan-${where}]`, form); line.hidden = !text; $('span', line).textContent = text }
  say('image', !value(form, 'image') ? '' : there && pull !== 'always' ? 'Image is here, nothing to pull' : pull === 'never' ? 'Image is not here, and is not pulled' : `Pull ${value(form, 'image')}`)
  say('create', network ? `Create it, join network ${network}` : 'Create it')
  say('start', start(form) ? 'Start it' : '')
  $('[data-plan-note]', form).textContent = name && network ? `Others on ${network} reach it as ${name}.` : ''
}

/** Says at once which host port is taken, with one that is free. */
function ports(form) {
  const taken = held(form)
  for (const row of lines(form, 'ports')) {
    const field = $('[data-port=h]', row), by = taken.get(field.value.trim()), tell = $('[data-row-error]', row)
    if (!tell.hidden && !tell.dataset.ours) continue // the server's own words stand until something is typed
    tell.dataset.ours = 'yes'
    field.closest('.field').classList.toggle('err', Boolean(by))
    field.toggleAttribute('aria-invalid', Boolean(by))
    tell.hidden = !by
    if (!by) continue
    let free = Number(field.value) + 1
    while (taken.has(String(free))) free++
    $('[data-row-text]', tell).textContent = `${by} already uses ${field.value.trim()}. `
    $$('[data-use-port], .alt', tell).forEach(old => old.remove())
    const offer = (text, port) => { const button = document.createElement('button'); button.type = 'button'; button.className = 'link'; button.dataset.usePort = port; button.textContent = text; return button }
    tell.append(offer(`Use ${free}`, String(free)), part('alt', 'or'), offer('let Docker choose', ''))
  }
}

function add(form, kind) {
  const row = $(`template[data-row-of=${kind}]`).content.firstElementChild.cloneNode(true)
  $(`[data-rows=${kind}]`, form).append(row)
  ready(form)
  return row
}
/** Ticks in rows send the number of their row. */
function number(form) {
  for (const kind of ['env', 'mounts']) lines(form, kind).forEach((row, i) => $$('[type=checkbox]', row).forEach(box => { box.value = i }))
}
function ready(form) {
  number(form)
  $$('[data-add], [data-drop], [data-paste], [data-paste-env], .run-cmd', form).forEach(el => { el.hidden = false })
}
function begin() {
  const form = theForm()
  if (!form || form.dataset.ready) return
  form.dataset.ready = 'yes'
  ready(form)
  ports(form)
  render(form)
  if (following) busy(form, true)
  else $('.err input, .err select', form)?.focus()
}

function busy(form, on, text = 'Running') {
  const button = $('[data-run]', form)
  button.disabled = on
  button.classList.toggle('is-busy', on)
  button.words ??= [...button.childNodes]
  button.replaceChildren(...on ? [text] : button.words)
}
const tell = (form, text) => { $('.err-sum', form).textContent = text }

// Pasting a command or a .env file fills the form
async function clipboard() { try { return await navigator.clipboard.readText() } catch { return prompt('Paste it here') ?? '' } }
function fill(form, wish) {
  for (const [name, text] of Object.entries(wish.fields)) { const field = $(`[name="${name}"]`, form); if (field) field.value = text }
  for (const [name, on] of Object.entries(wish.flags)) { const field = $(`[name="${name}"]`, form); if (field) field.checked = on }
  const put = (kind, rows, keys) => rows.forEach(values => {
    const empty = lines(form, kind).find(row => !$(keys[0], row).value && !$(keys[1], row).value)
    const row = empty ?? add(form, kind)
    keys.forEach((key, i) => { const field = $(key, row); if (field.type === 'checkbox') field.checked = values[i]; else field.value = values[i] })
  })
  put('ports', wish.ports, ['[data-port=c]', '[data-port=h]', '[data-port=p]'])
  put('env', wish.env, ['[data-env=k]', '[data-env=v]'])
  put('mounts', wish.mounts, ['[data-mount=d]', '[data-mount=s]', '[data-mount=t]', '[data-mount=r]'])
  put('labels', wish.labels, ['[data-label=k]', '[data-label=v]'])
  ports(form)
  render(form)
  if (wish.unknown.length) tell(form, `Not taken over: ${wish.unknown.join(' ')}`)
}

document.addEventListener('input', event => {
  const form = event.target.closest?.('#run-form')
  if (!form) return
  const secret = event.target.closest('[data-env=s]')
  if (secret) $('[data-env=v]', secret.closest('[data-row]')).type = secret.checked ? 'password' : 'text'
  const port = event.target.closest('[data-rows=ports] [data-row]')
  event.target.closest('.field')?.classList.remove('err')
  if (port) { $('[data-row-error]', port).hidden = true; ports(form) }
  render(form)
})
onClick('#run-form [data-add]', button => $('input, select', add(theForm(), button.dataset.add)).focus())
onClick('#run-form [data-drop]', button => {
  const form = theForm(), row = button.closest('[data-row]'), next = row.nextElementSibling ?? row.previousElementSibling
  row.remove()
  $('input', next ?? form)?.focus()
  number(form)
  render(form)
})
onClick('#run-form [data-use-port]', button => {
  $('[data-port=h]', button.closest('[data-row]')).value = button.dataset.usePort
  ports(theForm())
  render(theForm())
})
onClick('#run-form [data-paste]', async () => { const form = theForm(); fill(form, read(await clipboard())) })
onClick('#run-form [data-paste-env]', async () => {
  const pairs = (await clipboard()).split('\n').map(line => line.trim()).filter(line => line && !line.startsWith('#') && line.includes('='))
  const env = pairs.map(line => [line.slice(0, line.indexOf('=')).replace(/^export\s+/, ''), line.slice(line.indexOf('=') + 1).replace(/^(["'])(.*)\1$/, '$2')])
  fill(theForm(), { fields: {}, flags: {}, ports: [], env, mounts: [], labels: [], unknown: [] })
})
onClick('.run-nav a', link => $$('.run-nav a').forEach(one => one.toggleAttribute('aria-current', one === link)))
onClick('.run-nav a[href="#r-more"]', () => { $('#r-more').open = true })
document.addEventListener('keydown', event => {
  const form = theForm()
  if (form && event.key === 'Enter' && (event.ctrlKey || event.metaKey) && form.contains(event.target)) form.requestSubmit()
})
document.addEventListener('slipway:opened', begin)
document.addEventListener('htmx:afterSettle', begin)

// The wish was accepted: the form waits for its end, then the container's own page opens.
document.addEventListener('slipway:toast', event => {
  const form = theForm()
  if (!form || !event.detail.operation || event.detail.tone !== 'busy') return
  following = event.detail.operation
  tell(form, '')
  busy(form, true)
})
document.addEventListener('slipway:ended', event => {
  if (event.detail.id !== following) return
  following = ''
  const form = theForm(), container = event.detail.result?.container
  if (!form) return
  if (event.detail.state === 'succeeded' && container) { location.assign(new URL(`../${container}/`, form.action)); return }
  busy(form, false)
  tell(form, event.detail.message ?? 'It did not work.')
})
begin()
