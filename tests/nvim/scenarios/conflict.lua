--- The user changes what the model changes: the user's text stays.

local t = require('check')
local user = require('user')

user.open('total.py')
user.command('%Ropeway edit use the builtin sum')
user.gate('asked')
user.keys('3GA  # mine')
local mine = table
  .concat(vim.fn.readfile(user.dir .. '/total.py'), '\n')
  :gsub('items:\n        sum', 'items:  # mine\n        sum')
user.until_text('typing in the lines that the model works on', mine)
user.gate('typed')
local outcome = user.finished('the run', 'conflict')
t.check('it names the place', vim.tbl_get(outcome, 'files', 1, 'conflicts', 1, 'line'), outcome)
t.same('the text of the user stays', user.text(), mine)
user.until_true(
  'and the user is told',
  'vim.iter(seen.notes):any(function(n) return n.level == vim.log.levels.WARN end)'
)
user.quit()
