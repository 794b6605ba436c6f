--- A proposed edit is looked at, taken, and another one dropped.

local t = require('check')
local user = require('user')

user.open('total.py')
local before = user.text()
user.command('%Ropeway edit use the builtin sum')
user.finished('the run', 'proposed')
user.until_below('the diff opens', '+    return sum(items)')
t.same('nothing is changed', user.text(), before)
user.keys('<C-w>ja')
user.until_true('a takes it, and the diff closes', user.BELOW .. " == ''", user.BELOW)
user.until_text('the edit is there', 'def total(items):\n    return sum(items)')
user.command('Ropeway changes')
user.until_true('the place is listed', [[vim.bo.buftype == 'quickfix']])
t.same(
  'where it is',
  user.lua([[return vim.tbl_map(function(i) return { i.lnum, i.text } end, vim.fn.getqflist())]]),
  { { 2, 'return sum(items)' } }
)
user.command('cclose')
user.command('%Ropeway edit say it in words')
user.until_below('the next diff opens', '+    return 0')
user.until_true('and is proposed', [[require('ropeway.view').proposed() ~= nil]])
user.command('Ropeway reject')
user.until_true('which can be dropped', user.BELOW .. " == ''", user.BELOW)
t.same('and is not there', user.text(), 'def total(items):\n    return sum(items)')
user.quit()
