--- The answer is read while it comes.

local t = require('check')
local user = require('user')

user.open('total.py')
t.check(
  'the status line is plain text at rest',
  user
    .lua([[return vim.api.nvim_eval_statusline("%{v:lua.require'ropeway'.status()}", {}).str]])
    :find('^ropeway')
)
user.keys('<Esc>')
user.command('Ropeway explain')
user.gate('asked')
user.until_below('text comes while the model speaks', 'It **adds**')
user.until_below('a call that was made meanwhile has ended', '\n✓ ')
user.until_true(
  'the status line says so',
  [[vim.api.nvim_eval_statusline("%{v:lua.require'ropeway'.status()}", {}).str:find('^ropeway %a+ · Explain')]],
  [[require('ropeway').status()]]
)
t.check('the cursor stays in the code', user.lua([[return vim.fn.expand('%:t')]]) == 'total.py')
t.same('progress goes to whoever shows it', user.lua('return seen.progress[1]'), {
  kind = 'begin',
  title = 'Explain (total.py)',
})
user.gate('read')
user.finished('the run', 'answered')
user.until_below('the rest comes below the calls', '\n\nNothing else.\n')
user.until_below('and how it ended', '\n*answered')
user.until_true(
  'the progress ends',
  [[seen.progress[#seen.progress].kind == 'end']],
  'seen.progress'
)
user.quit()
