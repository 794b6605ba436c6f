--- The server dies and comes back; health.

local t = require('check')
local user = require('user')

user.open('total.py')
user.keys('Go# typed<Esc>')
user.until_text(
  'typing',
  table.concat(vim.fn.readfile(user.dir .. '/total.py'), '\n') .. '\n# typed'
)
local old = user.server()
vim.uv.kill(old, 'sigkill')
user.until_true('the server is started again and has the file', 'seen.starts == 2')
t.check('it is another process', user.server() and user.server() ~= old, { old, user.server() })
t.check(
  'the user is told',
  user.lua([[return vim.iter(seen.notes):any(function(n)
  return n.message:find('starting it again') end)]])
)
t.check(
  'once, in words that fit',
  user.lua([[return #seen.notes == 1 and #seen.notes[1].message < 79]]),
  user.lua('return seen.notes')
)
user.command('%Ropeway edit use the builtin sum')
user.finished('a run on the new server', 'applied')
user.until_text(
  'edits the text that was typed for the old one',
  'def total(items):\n    return sum(items)\n# typed'
)

user.command('Ropeway restart')
user.until_true('restart gives a third', 'seen.starts == 3')

user.command('checkhealth ropeway')
user.until_true('the health check is done', [[vim.bo.filetype == 'checkhealth']])
local health = user.text()
t.check(
  'it finds the program and the server',
  health:find('OK program: ') and health:find('OK server '),
  health
)
t.check('and no error', not health:find('ERROR'), health)
user.quit()
