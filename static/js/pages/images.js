// Images: taking the repaired name that an error offers.
import { tr } from '../texts.js'
document.addEventListener('click', e => {
  const fix = e.target.closest('[data-fix-for]')
  if (!fix) return
  const input = document.getElementById(fix.dataset.fixFor)
  input.value = fix.dataset.fix
  input.removeAttribute('aria-invalid')
  input.closest('.field').classList.remove('err')
  fix.closest('.err-t').hidden = true
  input.focus()
})
// A file on its way: how far it is, and then that it is looked through.
document.addEventListener('htmx:xhr:progress', e => {
  const form = e.target.closest('form[data-sends]')
  if (!form || !e.detail.lengthComputable || !e.detail.total) return
  const part = Math.min(100, Math.round(100 * e.detail.loaded / e.detail.total)), row = form.querySelector('.sends')
  row.hidden = false
  row.querySelector('progress').value = part
  row.querySelector('span').textContent = part < 100 ? `${part} %` : tr('Looking into it')
})
// "Tag…" leads to the field; the typed name is gone once it was accepted.
document.addEventListener('click', e => {
  if (e.target.closest('a[href="#add-tag"]')) document.querySelector('#add-tag input[type=text]').focus()
})
document.addEventListener('htmx:afterRequest', e => {
  if (e.target.id === 'add-tag' && e.detail.xhr.getResponseHeader('HX-Trigger')?.includes('"busy"')) e.target.reset()
})

// The list: two are compared; with one, the next page asks with what.
const two = () => {
  const ids = new Set([...document.querySelectorAll('.images .check:checked')].map(box => box.value))
  const words = document.querySelector('[data-two-n]')
  if (!words) return
  words.textContent = ids.size
  document.querySelector('[data-two]').disabled = ids.size > 2
}
document.addEventListener('change', e => { if (e.target.matches('.images .check')) two() })
document.addEventListener('reset', () => setTimeout(two))
document.addEventListener('htmx:afterSettle', two)
