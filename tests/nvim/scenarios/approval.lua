--- A command waits for the user, not the user for it.

local t = require('check')
local user = require('user')

user.open('total.py')
user.lua([[seen.allow = 'Allow once']])
user.command('Ropeway task run it')
user.gate('asked')
user.keys('Go')
user.until_true('the user types', [[vim.api.nvim_get_mode().mode == 'i']])
user.gate('typing')
user.until_true(
  'a question that comes meanwhile is announced',
  [[vim.iter(seen.notes):any(function(n) return n.message:find('a question waits') end)]],
  'seen.notes'
)
user.keys('1')
user.until_true('the keys go to the text', [[vim.api.nvim_get_current_line() == '1']])
t.same('and answer nothing', user.lua('return seen.question'), vim.NIL)
user.keys('<Esc>')
user.until_true('the menu opens in Normal mode', 'seen.question')
local question = user.lua('return seen.question')
t.check('with the command', question.prompt:find('printf', 1, true), question)
t.check(
  'and a no',
  vim.list_contains(question.choices, 'Deny') and vim.list_contains(question.choices, 'Allow once'),
  question
)
user.finished('the run', 'answered')
user.command('Ropeway answer')
user.until_below('what the command printed is there', '\n│ one\n│ two\n')
user.until_below('below its call', '✓ ')
user.keys('<C-w>j')
user.until_true(
  'folded away',
  [[vim.fn.foldclosed(vim.fn.search('^│ one', 'nw')) > 0]],
  '{ vim.wo.foldmethod, vim.wo.foldexpr, vim.wo.foldenable, vim.wo.foldlevel }'
)
user.quit()
