// Reads a `docker run` command line into the fields of the form. What it does not know it names; it never guesses.

/** Words as a shell would split them; a backslash before a line's end joins lines. */
export function words(text) {
  const found = [], source = text.replace(/\\\r?\n/g, ' ')
  let word = null, quoted = ''
  for (let i = 0; i < source.length; i++) {
    const c = source[i]
    if (quoted) {
      if (c === quoted) quoted = ''
      else if (c === '\\' && quoted === '"' && '"\\$`'.includes(source[i + 1])) word += source[++i]
      else word += c
    } else if (c === "'" || c === '"') { quoted = c; word ??= '' }
    else if (c === '\\' && i + 1 < source.length) word = (word ?? '') + source[++i]
    else if (/\s/.test(c)) { if (word !== null) found.push(word); word = null }
    else word = (word ?? '') + c
  }
  if (word !== null) found.push(word)
  return found
}

const FIELDS = {
  '--name': 'name', '--network': 'network', '--net': 'network', '--cpus': 'cpus', '--memory': 'memory', '-m': 'memory',
  '--pids-limit': 'pids', '--hostname': 'hostname', '-h': 'hostname', '--user': 'user', '-u': 'user', '--workdir': 'working_dir',
  '-w': 'working_dir', '--entrypoint': 'entrypoint', '--health-cmd': 'health_command', '--pull': 'pull',
}
const FLAGS = { '--init': 'init', '--tty': 'tty', '-t': 'tty', '--read-only': 'read_only', '--rm': 'auto_remove', '--privileged': 'privileged' }
const SILENT = new Set(['-d', '--detach', '-i', '--interactive', '--quiet', '-q'])

/** @returns {{fields, flags, ports, env, mounts, labels, unknown}} */
export function read(text) {
  const wish = { fields: {}, flags: {}, ports: [], env: [], mounts: [], labels: [], unknown: [] }
  const line = words(text)
  while (['sudo', 'docker', 'podman', 'container', 'run', 'create'].includes(line[0])) line.shift()
  while (line.length && line[0].startsWith('-') && line[0] !== '--') {
    let [name, given] = line.shift().split(/=(.*)/s)
    if (/^-[a-z]{2,}$/.test(name)) {
      // -it, or -p8080:80: one letter that takes a value ends the group.
      const letters = name.slice(1)
      if ('pevmhuwl'.includes(letters[0])) { given = letters.slice(1); name = `-${letters[0]}` }
      else { line.unshift(...[...letters].map(letter => `-${letter}`)); continue }
    }
    if (SILENT.has(name)) continue
    if (FLAGS[name]) { wish.flags[FLAGS[name]] = given !== 'false'; continue }
    const next = () => given ?? line.shift() ?? ''
    if (FIELDS[name]) wish.fields[FIELDS[name]] = next()
    else if (name === '--restart') { const [policy, most] = next().split(':'); wish.fields.restart = policy; if (most) wish.fields.retries = most }
    else if (name === '-p' || name === '--publish') wish.ports.push(port(next()))
    else if (name === '-e' || name === '--env') { const [key, value = ''] = next().split(/=(.*)/s); wish.env.push([key, value]) }
    else if (name === '-v' || name === '--volume') wish.mounts.push(mount(next()))
    else if (name === '--tmpfs') wish.mounts.push([next().split(':')[0], '', 'tmpfs', false])
    else if (name === '-l' || name === '--label') { const [key, value = ''] = next().split(/=(.*)/s); wish.labels.push([key, value]) }
    else if (name === '--cap-add' || name === '--cap-drop') { const field = name.slice(2).replace('-', '_'); wish.fields[field] = `${wish.fields[field] ?? ''} ${next()}`.trim() }
    else wish.unknown.push(name, ...(given === undefined && line[0] && !line[0].startsWith('-') && line.length > 1 ? [line.shift()] : []))
  }
  if (line[0] === '--') line.shift()
  wish.fields.image = line.shift() ?? ''
  wish.fields.command = line.map(word => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
  return wish
}

/** `127.0.0.1:8080:80/udp` as [inside, outside, protocol]. */
function port(text) {
  const [address, protocol = 'tcp'] = text.split('/'), at = address.lastIndexOf(':')
  return [address.slice(at + 1), at < 0 ? '' : address.slice(0, at), protocol]
}

/** `data:/var/lib:ro` as [target, source, kind, read only]. */
function mount(text) {
  const [source, target, mode = ''] = text.split(':')
  return [target ?? source, target ? source : '', source.startsWith('/') && target ? 'bind' : 'volume', mode.split(',').includes('ro')]
}
