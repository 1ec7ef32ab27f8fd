// What the server says of the form so far, at the fields that it is about: only at those that were touched, and never at
// one that is empty because it is being typed.
import { $, $$ } from './dom.js'
import { tr } from './texts.js'

const KINDS = { ports: 'port', networks: 'network', env: 'env', mounts: 'mount', labels: 'label' }
const rowOf = (form, kind, at) => $$(`[data-rows=${kind}] > [data-row]`, form)[at]
const isWaiting = field => document.activeElement === field || (!field.value && field.closest('[data-row]')?.contains(document.activeElement))
const counts = (form, field) => field && ('judgeAll' in form.dataset || 'touched' in field.dataset) && !(isWaiting(field) && !field.value)

/** Shows it all anew, and returns how many things are to be fixed. */
export function place(form) {
  clear(form)
  let wrong = 0
  for (const said of $$('#run-judged > ul > li', form)) wrong += said.dataset.kind ? inRow(form, said) : atField(form, said)
  return wrong
}

function inRow(form, said) {
  const { kind, at, column, fix } = said.dataset, row = rowOf(form, kind, at)
  const field = row && $(`[name="${KINDS[kind]}_${column}"]`, row)
  if (!counts(form, field)) return 0
  mark(field, true)
  const tell = $('[data-row-error]', row), text = $('[data-row-text]', tell)
  text.textContent = `${text.textContent} ${said.textContent}`.trim()
  tell.hidden = false
  if (fix) offer(tell, fix)
  return 1
}
function offer(tell, fix) {
  const button = (text, port) => { const made = document.createElement('button'); made.type = 'button'; made.className = 'link'; made.dataset.usePort = port; made.textContent = text; return made }
  const or = document.createElement('span')
  or.className = 'alt'
  or.textContent = tr('or')
  tell.append(button(tr('Use {port}', { port: fix }), fix), or, button(tr('let Docker choose'), ''))
}

function atField(form, said) {
  const name = said.dataset.field, field = $(`[name="${name}"]`, form)
  if (!field) { $('[data-top]', form).append(sentence(form, said.textContent)); return 1 }
  if (!counts(form, field)) return 0
  mark(field, true)
  field.closest('details')?.setAttribute('open', '')
  const made = sentence(form, said.textContent), box = field.closest('.field') ?? field.closest('label')
  made.id = `id_${name}_error`
  field.setAttribute('aria-describedby', made.id)
  box.after(made)
  return 1
}
function sentence(form, text) {
  const made = $('#run-error', form).content.firstElementChild.cloneNode(true)
  $('span', made).textContent = text
  return made
}

function mark(field, wrong) {
  field.closest('.field')?.classList.toggle('err', wrong)
  field.toggleAttribute('aria-invalid', wrong)
}
function clear(form) {
  for (const field of $$('.field.err input, .field.err select, [aria-invalid]', form)) mark(field, false)
  for (const tell of $$('[data-row-error]', form)) {
    tell.hidden = true
    $('[data-row-text]', tell).textContent = ''
    $$('button, .alt', tell).forEach(old => old.remove())
  }
  $$('.run-form .err-t:not([data-row-error])', form).forEach(old => old.remove())
}
