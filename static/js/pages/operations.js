// The list of operations and the page of one.
import { clocks, follow } from '../operation.js'

clocks()
const log = document.getElementById('log')
if (log) follow(log)
