// Beneath the security policy (`require-trusted-types-for 'script'`): whatever becomes markup, by htmx, by a library or by
// ours, goes through here first. The server escapes what people and engines say; this is for the day when it does not:
// markup that would run something is refused as a whole. A classic script in the head, before all others.
{
  const SUSPECT = /<(?:script|iframe|frame|object|embed|base|meta|portal)\b|[\s"'/](?:(?:data-)?hx-)?on[^\s"'/=<>]+\s*=|srcdoc|script\s*:|&#(?!x27;|39;)|&(?:colon|tab|newline);/i
  const NEVER = 'iframe, frame, object, embed, base, portal, [srcdoc], meta[http-equiv=refresh i]'
  // Where these are, what is read below is not what a page would make of it. Nothing of ours has them.
  const UNREADABLE = /<\/?(?:noframes|frameset)\b/i
  const ADDRESSES = ['href', 'src', 'action', 'formaction', 'xlink:href']

  function runs(element) {
    if (element.localName === 'script' && element.type !== 'application/json' && !element.getAttribute('src')?.startsWith('/static/')) return true
    if (element.localName === 'template' && harmful(element.content)) return true
    return [...element.attributes].some(({ name, value }) =>
      /^(?:on|hx-on|data-hx-on)/.test(name) || (ADDRESSES.includes(name) && /^[a-z]*script:/i.test(value.replace(/[\x00-\x20]/g, ''))))
  }
  const harmful = root => root.querySelector(NEVER) || [...root.querySelectorAll('*')].some(runs)

  if (window.trustedTypes) {
    const own = trustedTypes.createPolicy('slipway', { createHTML: markup => markup })
    trustedTypes.createPolicy('default', {
      createHTML(markup) {
        if (!SUSPECT.test(markup)) return markup
        // Read as a page, and as a part: rows outside of a table would lose their attributes in a page.
        const read = text => new DOMParser().parseFromString(own.createHTML(text), 'text/html')
        // A parser looks into <noscript>; in a page it is text up to its first end, as <noframes> is everywhere.
        const both = [markup, markup.replace(/(<\/?)noscript\b/gi, '$1noframes')]
        const found = text => harmful(read(text)) || harmful(read(`<template>${text}</template>`))
        if (!UNREADABLE.test(markup) && !both.some(found)) return markup
        console.error('Markup that would run something was refused.')
        return null
      },
    })
  }
}
