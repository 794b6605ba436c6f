--- The configuration is edited in the editor and in force with the next run; a mistake in it is shown in its place.

local t = require('check')
local user = require('user')

user.open('total.py')
local before = user.text()
user.command('edit ropeway.toml')
user.until_true('the file is open', [[vim.fn.expand('%:t') == 'ropeway.toml']])
user.keys('i[edits]<CR>mode = "previw"<Esc>')
user.command('write')
user.until_true(
  'a mistake is a diagnostic of its line',
  [[#vim.diagnostic.get(0) == 1 and vim.diagnostic.get(0)[1].lnum == 1]],
  'vim.diagnostic.get(0)'
)
user.keys([[:%s/previw/preview/<CR>]])
user.command('write')
user.until_true('and gone once mended', [[#vim.diagnostic.get(0) == 0]], 'vim.diagnostic.get(0)')
user.command('buffer total.py')
user.command('%Ropeway edit use the builtin sum')
user.finished('a run on the same server', 'proposed')
t.same('only proposes, as the file now says', user.text(), before)
t.same('without a restart', user.lua('return seen.starts'), 2)
user.command('Ropeway reject')
user.until_told('dropped', 'the proposed edit is dropped')

-- The user's own file, which chooses the model.
user.command('edit $ROPEWAY_CONFIG')
user.until_true(
  'the user file is open',
  [[vim.fn.getline(1) == 'model = "play/m"']],
  'vim.fn.getline(1)'
)
user.keys([[:%s,play/m,play/n,<CR>]])
user.command('write')
user.command('buffer total.py')
user.command('Ropeway explain')
user.gate('asked')
user.finished('a run', 'answered')
user.until_true('the other model is in force', [[seen.status.model == 'play/n']], 'seen.status')
user.quit()
