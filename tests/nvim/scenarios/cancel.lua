--- Cancel in the middle.

local t = require('check')
local user = require('user')

user.open('total.py')
user.command('%Ropeway edit use the builtin sum')
user.gate('asked')
user.until_true(
  'the model speaks',
  [[vim.iter(seen.events):any(function(e) return e.kind == 'text' end)]]
)
user.command('Ropeway cancel')
user.finished('the run', 'cancelled')
t.check('nothing was changed', user.lua('return not vim.bo.modified and vim.fn.changenr() == 0'))
user.gate('cancelled')
user.command('Ropeway cancel')
user.until_true(
  'with nothing to cancel it says so',
  [[seen.notes[#seen.notes].message:find('nothing is running')]]
)
user.quit()
