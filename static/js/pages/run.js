// The form that runs a container: its rows, the same wish as a docker run command, what will happen, and its end.
import { $, $$, onClick } from '../dom.js'
import { place } from '../run_judge.js'
import { plural, tr } from '../texts.js'

const quote = text => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
const part = (kind, text) => { const el = document.createElement('span'); el.className = kind; el.textContent = text; return el }
let following = ''

const theForm = () => $('#run-form')
const value = (form, name) => $(`[name="${name}"]`, form)?.value.trim() ?? ''
const lines = (form, kind) => $$(`[data-rows=${kind}] [data-row]`, form)

/** The command, as pairs of option and value: the order of the form. */
function options(form) {
  const found = [], off = $('[name=health_none]', form).checked
  for (const field of $$('[data-arg^="--"]', form)) {
    if (field.name.startsWith('health_') ? off || !value(form, 'health_command') : !field.value.trim()) continue
    found.push([field.dataset.arg, argument(field)])
  }
  if (value(form, 'restart') !== 'no') found.push(['--restart', value(form, 'restart') + (value(form, 'restart') === 'on-failure' && value(form, 'retries') ? `:${value(form, 'retries')}` : '')])
  for (const row of lines(form, 'networks')) if ($('input', row).value.trim()) found.push(['--network', $('input', row).value.trim()])
  for (const row of lines(form, 'ports')) {
    const [outside, inside, protocol] = ['h', 'c', 'p'].map(key => $(`[data-port=${key}]`, row).value.trim())
    if (inside) found.push(['--publish', `${outside ? `${outside}:` : ''}${inside}${protocol === 'tcp' ? '' : `/${protocol}`}`, $('.field.err', row)])
  }
  for (const row of lines(form, 'env')) {
    const [name, text, secret] = ['k', 'v', 's'].map(key => $(`[data-env=${key}]`, row))
    if (name.value.trim()) found.push(['--env', secret.checked || (!text.value && $('[name=env_kept]', row).value) ? name.value.trim() : `${name.value.trim()}=${text.value}`])
  }
  for (const row of lines(form, 'mounts')) {
    const [kind, source, target, readOnly] = ['t', 's', 'd', 'r'].map(key => $(`[data-mount=${key}]`, row))
    if (!target.value.trim()) continue
    const from = source.value.trim(), to = target.value.trim(), mode = readOnly.checked ? ':ro' : ''
    if (kind.value === 'tmpfs') found.push(['--tmpfs', `${to}${mode}`])
    else if (kind.value === 'bind') found.push(['--mount', `type=bind,source=${from},target=${to}${mode && ',readonly'}`])
    else found.push(['--volume', `${from}:${to}${mode}`])
  }
  for (const row of lines(form, 'labels')) {
    const name = $('[data-label=k]', row).value.trim()
    if (name) found.push(['--label', `${name}=${$('[data-label=v]', row).value}`])
  }
  for (const name of ['cap_add', 'cap_drop']) for (const one of value(form, name).split(/[\s,]+/).filter(Boolean)) found.push([`--${name.replace('_', '-')}`, one])
  if (value(form, 'pull') !== 'missing') found.push(['--pull', value(form, 'pull')])
  return found
}
/** A field's value as the command takes it; of a health check's numbers, also what is taken where none is typed. */
function argument(field) {
  const text = field.value.trim()
  if (field.name === 'memory') return /^\d+$/.test(text) ? `${text}m` : text
  if (!field.name.startsWith('health_') || field.name === 'health_command') return text
  return (text || field.placeholder) + (field.name === 'health_retries' ? '' : 's')
}

function render(form) {
  const out = $('#cmd', form), made = [part('c0', start(form) ? 'docker run' : 'docker create'), start(form) ? ' --detach \\\n' : ' \\\n']
  for (const flag of $$('[data-flag]', form)) if (flag.checked) made.push('  ', part('fl', flag.dataset.flag), ' \\\n')
  for (const [name, text, bad] of options(form)) made.push('  ', part('fl', name), ' ', part(bad ? 'bad' : 'vl', quote(text)), ' \\\n')
  made.push('  ', part('im', value(form, 'image') || 'IMAGE'), value(form, 'command') ? ` ${value(form, 'command')}` : '')
  out.replaceChildren(...made)
  for (const row of lines(form, 'mounts')) {
    const kind = $('[data-mount=t]', row).value, source = $('[data-mount=s]', row)
    source.placeholder = { bind: '/path/on/the/engine', tmpfs: '–' }[kind] ?? 'volume'
    source.readOnly = kind === 'tmpfs'
  }
  image(form)
  plan(form)
  for (const [kind, fields] of [['ports', '[data-port=c]'], ['networks', 'input'], ['env', '[data-env=k]'], ['mounts', '[data-mount=d]']]) {
    const rows = lines(form, kind), n = rows.filter(row => $(fields, row).value.trim()).length, bad = rows.filter(row => $('.field.err', row)).length
    const count = $(`[data-count=${kind}]`, form)
    count.textContent = bad || n || ''
    count.classList.toggle('bad', bad > 0)
  }
}
const start = form => $('[name=start]', form)?.checked ?? true

function here(form) {
  const asked = value(form, 'image'), name = /[@]|:[^/]*$/.test(asked) ? asked : `${asked}:latest`
  return asked && $$('#images option', form).find(option => option.value === name || option.value === asked)
}
function image(form) {
  const note = $('[data-image-note]', form), found = here(form), asked = value(form, 'image')
  note.className = `in-note ${found ? 'ok' : 'dim'}`
  $('.glyph', note).classList.toggle('vh', !found)
  $('span', note).textContent = found ? tr('here, {size}', { size: found.dataset.size }) : asked ? tr('to be pulled') : ''
}
function plan(form) {
  const name = value(form, 'name'), pull = value(form, 'pull'), there = here(form)
  const networks = lines(form, 'networks').map(row => $('input', row).value.trim()).filter(Boolean), network = networks.join(', ')
  const say = (where, text) => { const line = $(`[data-plan-${where}]`, form); line.hidden = !text; $('span', line).textContent = text }
  say('image', !value(form, 'image') ? '' : there && pull !== 'always' ? tr('Image is here, nothing to pull') : pull === 'never' ? tr('Image is not here, and is not pulled') : tr('Pull {image}', { image: value(form, 'image') }))
  say('create', network ? plural(networks.length, 'Create it, join network {names}', 'Create it, join networks {names}', { names: network }) : tr('Create it'))
  say('start', start(form) ? tr('Start it') : '')
  $('[data-plan-note]', form).textContent = name && network ? tr('Others on {network} reach it as {name}.', { network, name }) : ''
}

/** What the server has said, at its fields; `ask` has it look again. */
function judged(form) {
  if (following) return
  const wrong = place(form), now = $('#run-judged [data-plan-now]', form)
  if (now) { $('[data-fate]', form).replaceChildren(...now.childNodes); $('[data-plan]', form).hidden = true }
  tell(form, wrong ? plural(wrong, '{n} thing to fix', '{n} things to fix') : '')
  render(form)
}
const ask = form => htmx.trigger($('#run-judged', form), 'judge')

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
  $$('[data-add], [data-drop], [data-paste-env], .run-cmd', form).forEach(el => { el.hidden = false })
}
function begin() {
  const form = theForm()
  if (!form || form.dataset.ready) return
  form.dataset.ready = 'yes'
  ready(form)
  render(form)
  if (following) return busy(form, true)
  $('.run-paste .err textarea, .field.err input, .field.err select', form)?.focus()
  if ('judgeAll' in form.dataset) ask(form)
}

function busy(form, on, text = tr('Running')) {
  const button = $('[data-run]', form)
  button.disabled = on
  button.classList.toggle('is-busy', on)
  button.words ??= [...button.childNodes]
  button.replaceChildren(...on ? [text] : button.words)
}
const tell = (form, text) => { $('.err-sum', form).textContent = text }

// Pasting a .env file fills its rows
async function clipboard() { try { return await navigator.clipboard.readText() } catch { return prompt(tr('Paste it here')) ?? '' } }
function variables(text) {
  const pairs = text.split('\n').map(line => line.trim()).filter(line => line && !line.startsWith('#') && line.includes('='))
  return pairs.map(line => [line.slice(0, line.indexOf('=')).replace(/^export\s+/, ''), line.slice(line.indexOf('=') + 1).replace(/^(["'])(.*)\1$/, '$2')])
}

document.addEventListener('input', event => {
  const form = event.target.closest?.('#run-form')
  if (!form) return
  event.target.dataset.touched = ''
  const secret = event.target.closest('[data-env=s]')
  if (secret) $('[data-env=v]', secret.closest('[data-row]')).type = secret.checked ? 'password' : 'text'
  const row = event.target.closest('[data-row]')
  event.target.closest('.field')?.classList.remove('err')
  if (row) $('[data-row-error]', row).hidden = true
  render(form)
})
document.addEventListener('focusout', event => {
  const form = event.target.closest?.('#run-form')
  if (form) setTimeout(() => { if (form.isConnected && $('#run-judged > ul > li', form)) judged(form) })
})
document.addEventListener('htmx:afterSwap', event => { if (event.detail.target?.id === 'run-judged' && theForm()) judged(theForm()) })
onClick('#run-form [data-add]', button => $('input, select', add(theForm(), button.dataset.add)).focus())
onClick('#run-form [data-drop]', button => {
  const form = theForm(), row = button.closest('[data-row]'), next = row.nextElementSibling ?? row.previousElementSibling
  row.remove()
  $('#run-judged', form).replaceChildren()
  $('input', next ?? form)?.focus()
  number(form)
  render(form)
  ask(form)
})
onClick('#run-form [data-use-port]', button => {
  const form = theForm(), field = $('[data-port=h]', button.closest('[data-row]'))
  field.value = button.dataset.usePort
  field.focus()
  field.dispatchEvent(new InputEvent('input', { bubbles: true }))
})
onClick('#run-form [data-paste]', () => {
  const form = theForm(), box = $('#run-paste', form)
  box.hidden = !box.hidden
  $('.dialog-head [data-paste]', form).setAttribute('aria-expanded', String(!box.hidden))
  if (!box.hidden) $('textarea', box).focus()
})
onClick('#run-form [data-paste-env]', async () => {
  const form = theForm()
  for (const [name, text] of variables(await clipboard())) {
    const empty = lines(form, 'env').find(row => !$('[data-env=k]', row).value && !$('[data-env=v]', row).value), row = empty ?? add(form, 'env')
    const fields = ['k', 'v'].map(key => $(`[data-env=${key}]`, row))
    fields.forEach((field, i) => { field.value = [name, text][i]; field.dataset.touched = '' })
  }
  render(form)
  ask(form)
})
onClick('.run-nav a', link => $$('.run-nav a').forEach(one => one.toggleAttribute('aria-current', one === link)))
onClick('.run-nav a[href="#r-more"]', () => { $('#r-more').open = true })
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
  tell(form, event.detail.message ?? tr('It did not work.'))
})
// htmx listens from then on: a form that is filled in already is judged at once.
document.addEventListener('htmx:load', event => { if (event.target === document.body && 'judgeAll' in (theForm()?.dataset ?? {})) ask(theForm()) })
begin()
