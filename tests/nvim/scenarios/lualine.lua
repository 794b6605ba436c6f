--- The component in the real lualine, at rest and while a run goes on; and the words of |vim.lsp.status()|.

local t = require('check')
local user = require('user')

user.open('total.py')
user.lua(
  [[
  vim.opt.runtimepath:append(...)
  vim.o.columns = 140
  -- As the help page has it.
  require('lualine').setup({
    options = { icons_enabled = false },
    sections = { lualine_x = { 'ropeway' } },
  })
  require('lualine').refresh({ force = true })]],
  assert(vim.env.ROPEWAY_TEST_LUALINE, 'where lualine is')
)
local LINE =
  [[vim.api.nvim_eval_statusline(vim.wo.statusline ~= '' and vim.wo.statusline or vim.o.statusline, {}).str]]
user.until_true('lualine draws the status line', LINE .. ":find('total.py', 1, true)", LINE)
user.until_true('with the state at rest', LINE .. ":find('ropeway idle', 1, true)", LINE)
user.command('Ropeway explain')
user.gate('asked')
user.until_true('and of a run', LINE .. ":find('ropeway thinking · Explain', 1, true)", LINE)
user.gate('seen')
user.finished('the run', 'answered')
user.until_true('and at rest again', LINE .. ":find('ropeway idle', 1, true)", LINE)
t.same(
  'lualine had nothing to complain of',
  user.lua([[return vim.tbl_filter(function(note)
    return note.message:find('lualine') ~= nil
  end, seen.notes)]]),
  {}
)
user.quit()
