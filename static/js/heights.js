// How far down a row begins, and which row is at a height, among rows of different heights: sums over powers of two
// (Fenwick), so that both questions and one row's change cost the logarithm of their number.

export class Heights {
  constructor() { this.clear() }

  clear() { this.size = 0; this.tree = new Float64Array(1024) }

  /** All of them anew; `of(item)` is a height. */
  fill(items, of) {
    if (this.tree.length <= items.length) this.tree = new Float64Array(2 ** Math.ceil(Math.log2(items.length + 2)))
    const { tree } = this, n = this.size = items.length
    tree.fill(0, 0, n + 1)
    for (let i = 1; i <= n; i++) {
      tree[i] += of(items[i - 1])
      const up = i + (i & -i)
      if (up <= n) tree[up] += tree[i]
    }
  }

  push(height) {
    const i = ++this.size
    if (i >= this.tree.length) { const more = new Float64Array(this.tree.length * 2); more.set(this.tree); this.tree = more }
    let sum = height
    for (let low = 1; low < (i & -i); low <<= 1) sum += this.tree[i - low]
    this.tree[i] = sum
  }

  /** The row at place `i` is higher by so much. */
  grow(i, by) { for (i++; i <= this.size; i += i & -i) this.tree[i] += by }

  /** Where the row at place `i` begins: the heights of all before it. */
  top(i) {
    let sum = 0
    for (i = Math.min(i, this.size); i > 0; i -= i & -i) sum += this.tree[i]
    return sum
  }

  /** The place of the row that is `y` down; past the end, the number of rows. */
  at(y) {
    let i = 0
    for (let step = 2 ** Math.floor(Math.log2(this.size || 1)); step; step >>= 1) {
      if (i + step <= this.size && this.tree[i + step] <= y) { i += step; y -= this.tree[i] }
    }
    return i
  }
}
