// Images: taking the repaired name that an error offers.
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
