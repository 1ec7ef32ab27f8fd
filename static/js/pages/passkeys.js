// Passkeys: asks the browser to make or show one, and sends on what it says. Also keeps recovery codes as a file.
import { onClick } from '../dom.js'
import { tr } from '../texts.js'

const able = window.PublicKeyCredential?.parseRequestOptionsFromJSON && navigator.credentials
// Addresses in numbers have no passkeys, whatever the browser can.
const named = !/^[\d.]+$|^\[/.test(location.hostname)
const WORDS = { NotAllowedError: tr('No passkey was used.'), InvalidStateError: tr('This passkey is already yours here.') }

async function ask(form) {
  const answer = await fetch(`${form.getAttribute('action')}?options`, { headers: { Accept: 'application/json' } })
  if (!answer.ok || answer.redirected) return location.reload()
  const { publicKey } = await answer.json()
  return form.dataset.passkey === 'create'
    ? navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) })
    : navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) })
}

function keep(form) {
  const said = form.querySelector('[data-passkey-said]'), button = form.querySelector('[type=submit]')
  form.addEventListener('submit', async event => {
    event.preventDefault()
    said.hidden = true
    button.disabled = true
    try {
      const credential = await ask(form)
      if (!credential) return
      form.elements.credential.value = JSON.stringify(credential.toJSON())
      form.submit()
    } catch (error) {
      said.textContent = WORDS[error.name] ?? tr('The browser refuses: {why}', { why: error.message })
      said.hidden = false
    } finally { button.disabled = false }
  })
}

if (able && named) {
  document.querySelectorAll('[data-passkey]').forEach(keep)
  document.querySelectorAll('[data-passkey], [data-with-passkey]').forEach(el => { el.hidden = false })
} else {
  document.querySelectorAll('[data-no-passkey]').forEach(el => { el.hidden = false })
  document.querySelectorAll('[data-passkey="create"] [type=submit]').forEach(el => { el.disabled = true })
}

onClick('[data-save]', button => {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([document.getElementById(button.dataset.save).innerText], { type: 'text/plain' }))
  link.download = button.dataset.saveAs
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 1000)
})
