--- A conflict, an answer, other files, the small commands.

local t = require('check')
local user = require('user')

user.open('total.py')
user.command('Ropeway explain')
user.finished('the run', 'answered')
user.until_below('the answer opens below', 'It adds\nup.')
t.check('the cursor stays in the code', user.lua([[return vim.fn.expand('%:t')]]) == 'total.py')
user.keys('<C-w>j')
user.until_true('as Markdown', [[vim.bo.filetype == 'markdown']], 'vim.bo.filetype')
user.keys('q')
user.until_true('q closes it', user.BELOW .. " == ''")

user.command('Ropeway task change the other file')
user.finished('a run over a file that is not open', 'applied')
user.until_true('it is loaded, listed and changed', [[vim.bo[vim.fn.bufnr('other.py')].modified]])
t.same(
  'with the edit',
  user.lua([[return vim.api.nvim_buf_get_lines(vim.fn.bufnr('other.py'), 0, -1, true)]]),
  { 'value = 2' }
)
t.same(
  'while the file on disk is as it was',
  vim.fn.readfile(user.dir .. '/other.py'),
  { 'value = 1' }
)

user.command('Ropeway stats')
user.until_true('the readout opens', [[vim.fn.bufwinid('ropeway://stats') ~= -1]])
t.check(
  'with numbers',
  user.lua(
    [[return vim.fn.search('^tokens.input', 'nw', 0, 0) > 0 or
    table.concat(vim.api.nvim_buf_get_lines(vim.fn.bufnr('ropeway://stats'), 0, -1, true), '\n')]]
  )
)
t.check(
  'and with a row for each operation',
  user.lua(
    [[return table.concat(vim.api.nvim_buf_get_lines(vim.fn.bufnr('ropeway://stats'), 0, -1, true), '\n')
    :find('\nrequest +[1-9]') ~= nil]]
  )
)
user.lua([[vim.cmd.bwipeout(vim.fn.bufnr('ropeway://stats'))]])
user.command('Ropeway tokens')
user.until_below('the conversation is shown with its tokens', '\n## user · ')
user.command('Ropeway analytics tools')
user.until_below('and the tools as a table', 'edit_file')
user.command('Ropeway changes')
user.until_true('the changed places are a quickfix list', [[vim.bo.buftype == 'quickfix']])
t.same(
  'of the place',
  user.lua([[return vim.tbl_map(function(item)
    return { vim.fs.basename(vim.api.nvim_buf_get_name(item.bufnr)), item.lnum, item.text }
  end, vim.fn.getqflist())]]),
  { { 'other.py', 1, 'value = 2' } }
)
user.command('cclose')
user.lua([[vim.ui.open = function(what)
  seen.opened = what
  return { wait = function() return { code = 0 } end }
end]])
user.command('Ropeway report')
user.until_true(
  'the report is opened by what opens pages',
  [[seen.opened and seen.opened:find('/reports/run%-[%w-]+%.html$')]],
  'seen.opened'
)
user.until_true(
  'and its place is said',
  [[seen.notes[#seen.notes].message:find('the report is /', 1, true)]],
  'seen.notes'
)
t.same(
  'models are completed',
  user.lua([[return vim.fn.getcompletion('Ropeway model p', 'cmdline')]]),
  { 'play/m' }
)
local offered = user.lua([[
  local commands = require('ropeway').client().server_capabilities.executeCommandProvider.commands
  for i, name in ipairs(commands) do
    if name == 'ropeway.stats' then table.remove(commands, i) end
  end
  return vim.fn.getcompletion('Ropeway ', 'cmdline')]])
t.check('words are completed', vim.list_contains(offered, 'tokens'), offered)
t.check(
  'but not one that the server has no command for',
  not vim.list_contains(offered, 'stats'),
  offered
)
user.command('Ropeway stats')
user.until_true(
  'which says what is missing',
  [[seen.notes[#seen.notes].message:find('has no `ropeway.stats`', 1, true)]],
  'seen.notes'
)
user.command('Ropeway model play/m')
user.until_true('the model is selected', [[seen.notes[#seen.notes].message:find('play/m')]])
user.command('Ropeway clear')
user.until_true(
  'the conversation is cleared',
  [[seen.notes[#seen.notes].message:find('clear: 0 messages')]]
)
user.command('Ropeway nonsense')
user.until_true(
  'an unknown action is an error',
  [[seen.notes[#seen.notes].level == vim.log.levels.ERROR]]
)
user.command('Ropeway fix')
user.until_true(
  'without a diagnostic fix says so',
  [[seen.notes[#seen.notes].message:find('no diagnostic')]]
)
user.quit()
