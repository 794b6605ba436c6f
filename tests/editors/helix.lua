--- Helix, set up by the lines of editors/README.md: nvim -l helix.lua PLACE DIRECTORY
---
--- PLACE is where `tests/editors/install` put Helix.

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
package.path = here .. '/?.lua;' .. here .. '/../nvim/?.lua;' .. package.path
local t = require('check')
local terminal = require('terminal')
local place, dir = _G.arg[1], _G.arg[2]

t.main(function()
  local page = terminal.read('editors/README.md')
  terminal.home('config/helix/languages.toml', terminal.block(page, 'Helix', 'toml'))
  terminal.home('config/helix/config.toml', '[editor.lsp]\ndisplay-progress-messages = true\n')
  local runtime = place .. '/root/usr/lib/hx/runtime'
  terminal.start({ place .. '/hx', 'total.py' }, dir, { HELIX_RUNTIME = runtime })
  terminal.until_shown('the file is open', 'def total(items):')
  terminal.until_served()
  terminal.keys('2gg')
  terminal.until_offered(
    'the menu offers what the comment asks for',
    '<Space>a',
    'Ropeway: Implement',
    'No [%a ]*code actions'
  )
  -- It is the first of the menu.
  terminal.keys('<CR>')
  terminal.edit_undo_leave('u', ':q!<CR>')
end)
