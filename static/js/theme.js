// Runs before the first paint (a classic script in the head), so that a saved theme never flashes.
const saved = localStorage.getItem('theme')
if (saved === 'light' || saved === 'dark') document.documentElement.dataset.theme = saved
