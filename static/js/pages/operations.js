// The page of one operation: its log, line by line.
import { $ } from '../dom.js'
import { follow } from '../operation.js'

const log = $('#log')
if (log) follow(log)
